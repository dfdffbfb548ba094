/**
 * Ways to open ten connections, in rounds that each run all of them:
 * `node connect-worker.ts URL WARM_UP_ROUNDS ROUNDS WAY...`. Writes one line of JSON: the samples of each way.
 */
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { Pool } from "@forksafe/pg";
import pg from "pg";
import { needBuilt } from "./built-packages.ts";
import { inOrderOf } from "./statistics.ts";

export type Way = "one client" | "ten clients" | "pg's Pool" | "forksafe's Pool";

export interface ConnectSample {
	/** Milliseconds until the first connection is usable. */
	first: number;
	/** Milliseconds until all are. */
	all: number;
}

interface Opening {
	readonly connections: Promise<unknown>[];
	readonly end: () => Promise<unknown>;
}

const CONNECTIONS = 10;
const SETTLE_MILLIS = 20;

const [connectionString = "", warmUpRounds, rounds, ...ways] = process.argv.slice(2);
needBuilt("@forksafe/pg");
for (let round = 0; round < Number(warmUpRounds); round++) for (const way of ways) await sampleOf(way as Way);
const samples: Partial<Record<Way, ConnectSample[]>> = {};
for (let round = 0; round < Number(rounds); round++) {
	for (const way of inOrderOf(round, ways as Way[])) {
		samples[way] ??= [];
		samples[way].push(await sampleOf(way));
		// What the server still does about those that went is not to meet the next.
		await setTimeout(SETTLE_MILLIS);
	}
}
console.log(JSON.stringify(samples));

async function sampleOf(way: Way): Promise<ConnectSample> {
	const start = performance.now();
	const since = (): number => performance.now() - start;
	const { connections, end } = open(way);
	const first = Promise.race(connections).then(since);
	const all = Promise.all(connections).then(since);
	const sample = { first: await first, all: await all };
	await end();
	return sample;
}

function open(way: Way): Opening {
	switch (way) {
		case "one client":
			return openClients(1);
		case "ten clients":
			return openClients(CONNECTIONS);
		case "pg's Pool":
			return fill(new pg.Pool({ connectionString, max: CONNECTIONS }));
		case "forksafe's Pool":
			return fill(new Pool({ connectionString, max: CONNECTIONS }));
	}
}

function openClients(count: number): Opening {
	const clients = Array.from({ length: count }, () => new pg.Client({ connectionString }));
	return {
		connections: clients.map((client) => client.connect()),
		end: () => Promise.all(clients.map((client) => client.end())),
	};
}

function fill(pool: pg.Pool): Opening {
	const connections = Array.from({ length: CONNECTIONS }, () => pool.connect());
	const end = async (): Promise<void> => {
		for (const client of await Promise.all(connections)) client.release();
		await pool.end();
	};
	return { connections, end };
}
