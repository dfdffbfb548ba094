/**
 * A parent that forks children, who each ask at once: `node --single-threaded forks-worker.ts URL WAY`. It and its children are
 * warm: it has asked and connected in the same way before.
 */
import process from "node:process";
import pg from "pg";
import { forkChild } from "../../test/support/fork.ts";
import { installSentinel, needBuilt } from "./built-packages.ts";
import { nameOf, openFace } from "./faces.ts";
import { obeyOrders } from "./worker-process.ts";

export interface ForkOrder {
	/** So many, one after another, without waiting for any of them. */
	readonly children: number;
}

/** What came of them. */
export interface ForkAnswer {
	/** Of each child: milliseconds from its fork to its answer. */
	readonly own: readonly number[];
	/** From the first fork to the last answer. */
	readonly last: number;
}

/** How the first query of a child is asked. */
export const ways = {
	"raw connect": openRaw,
	"forksafe Pool": openPool,
	"forksafe Pool, afterFork() called": () => openPool(true),
	"forksafe Pool, with the sentinel": openWithSentinel,
	"Knex over forksafe": () => openLibrary(nameOf("Knex", "raw", "forksafe")),
	"Kysely over forksafe": () => openLibrary(nameOf("Kysely", "raw", "forksafe")),
} as const satisfies Record<string, () => Promise<Asker>>;

export type Way = keyof typeof ways;

/** It has connections of its own that are open. */
interface Asker {
	/** The first of a child; with what it does before. */
	readonly ask: () => Promise<unknown>;
	/** In the parent, to have it all compiled: asks over a new connection. */
	readonly askAnew: () => Promise<unknown>;
}

const CONNECTIONS = 10;
const WARM_UP = 50;
const SELECT = "select 1 as one";
const DEADLINE_MILLIS = 100_000;
const [url = "", way = ""] = process.argv.slice(2);

if (import.meta.main) {
	const { ask, askAnew } = await ways[way as Way]();
	for (let i = 0; i < WARM_UP; i++) await askAnew();
	await Promise.all(Array.from({ length: CONNECTIONS }, ask));
	obeyOrders<ForkOrder, ForkAnswer>(async ({ children }) => {
		const first = performance.now();
		const born = Array.from({ length: children }, (_, number) =>
			forkChild(
				`child ${number}`,
				async () => {
					const forked = performance.now();
					await ask();
					const answered = performance.now();
					return { own: answered - forked, answered };
				},
				{ deadlineMillis: DEADLINE_MILLIS },
			),
		);
		const results = await Promise.all(born.map(async (child) => (await child).result));
		return { own: results.map(({ own }) => own), last: Math.max(...results.map(({ answered }) => answered)) - first };
	});
}

/** A child's connection ends with the child. The parent holds as many as a pool does. */
async function openRaw(): Promise<Asker> {
	const ask = async (): Promise<pg.Client> => {
		const client = new pg.Client(url);
		await client.connect();
		await client.query(SELECT);
		return client;
	};
	return { ask, askAnew: async () => (await ask()).end() };
}

async function openPool(callsHook = false): Promise<Asker> {
	needBuilt("@forksafe/core", "@forksafe/pg");
	const [{ afterFork }, { Pool }] = await Promise.all([import("@forksafe/core"), import("@forksafe/pg")]);
	const open = (): InstanceType<typeof Pool> => new Pool({ connectionString: url, max: CONNECTIONS });
	const pool = open();
	const ask = (): Promise<unknown> => {
		if (callsHook) afterFork();
		return pool.query(SELECT);
	};
	return {
		ask,
		askAnew: async () => {
			const other = open();
			await other.query(SELECT);
			await other.end();
		},
	};
}

async function openWithSentinel(): Promise<Asker> {
	await installSentinel();
	return openPool();
}

async function openLibrary(name: string): Promise<Asker> {
	const face = await openFace(name, url, CONNECTIONS);
	return {
		ask: async () => face.ask["select 1"](1),
		askAnew: async () => {
			const other = await openFace(name, url, CONNECTIONS);
			await other.ask["select 1"](1);
			await other.end();
		},
	};
}
