/**
 * How long does it take until the first and until all of ten connections that are opened at once are usable? A PostgreSQL
 * of our own answers, over every transport, and from 20 ms away.
 */
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ChaosProxy } from "../../test/support/chaos-proxy.ts";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { offeredTransports } from "../../test/support/transports.ts";
import { table } from "../demo/table.ts";
import type { ConnectSample, Way } from "./connect-worker.ts";
import type { Effort } from "./effort.ts";
import { inOrderOf, ratios, withQuartiles } from "./statistics.ts";
import type { Target } from "./target.ts";

type Samples = Partial<Record<Way, ConnectSample[]>>;

interface Place {
	readonly title: string;
	readonly url: string;
}

/** By transport, in a process that has connected before and in one that has not. */
export type ConnectResults = Record<string, Samples>;

const WAYS: readonly Way[] = ["one client", "ten clients", "pg's Pool", "forksafe's Pool"];
const ROUND_TRIP_MILLIS = 20;
const WARM_UP_ROUNDS = 5;
const FRESH = ", fresh process";
const run = promisify(execFile);

export async function measureConnect(effort: Effort, progress: (text: string) => void): Promise<ConnectResults> {
	const server = await startEmbeddedServer({ maxConnections: 100, tls: true, unixSocket: true, trustsUnixSocket: true });
	const { hostname: host, port } = new URL(server.url);
	const proxy = await new ChaosProxy({ host, port: Number(port) }).start();
	proxy.latencyMillis = ROUND_TRIP_MILLIS / 2;
	try {
		const { unixSocketUrl, tlsUrl } = await offeredTransports(server.url);
		if (unixSocketUrl === undefined || tlsUrl === undefined) throw new Error("the server does not offer every transport");
		const near: Place[] = [
			{ title: "trust, unix socket", url: unixSocketUrl },
			{ title: "SCRAM, TCP", url: server.url },
			{ title: "SCRAM, TLS", url: tlsUrl },
		];
		const far: Place[] = [{ title: `SCRAM, TCP, ${ROUND_TRIP_MILLIS} ms away`, url: proxy.urlOf(server.url) }];
		const results: ConnectResults = {};
		for (const { title, url } of [...near, ...far]) {
			progress(`connect: ${title}`);
			results[title] = await runWorker(url, WARM_UP_ROUNDS, effort.connectRounds, WAYS);
		}
		for (const { title, url } of near) {
			const cold: Samples = {};
			results[`${title}${FRESH}`] = cold;
			for (let round = 0; round < effort.coldConnectRounds; round++) {
				progress(`connect: ${title}${FRESH}, round ${round + 1} of ${effort.coldConnectRounds}`);
				for (const way of inOrderOf(round, WAYS)) {
					cold[way] = [...(cold[way] ?? []), ...((await runWorker(url, 0, 1, [way]))[way] ?? [])];
				}
			}
		}
		return results;
	} finally {
		await proxy.stop();
		await server.stop();
	}
}

export function reportConnect(results: ConnectResults, effort: Effort): string {
	const rows = Object.entries(results).flatMap(([place, samples]) =>
		WAYS.map((way) => [
			way === WAYS[0] ? place : "",
			way,
			withQuartiles(firsts(samples, way), 1),
			way === "one client" ? "" : withQuartiles(firstRatios(samples, way), 2),
			way === "one client" ? "" : withQuartiles(alls(samples, way), 1),
			way === "one client" ? "" : withQuartiles(allRatios(samples, way), 2),
		]),
	);
	const columns = [
		{ title: "server", align: "left" },
		{ title: "opened by", align: "left" },
		{ title: "first usable, ms" },
		{ title: "times one client" },
		{ title: "all ten, ms" },
		{ title: "times ten clients" },
	] as const;
	return [
		"connect: ten connections at once, beside raw clients of pg",
		`${effort.connectRounds} rounds, ${effort.coldConnectRounds} in fresh processes; ratios are paired by round`,
		"",
		table(columns, rows),
	].join("\n");
}

/** Warm, as the targets are meant: cold code delays whatever it is first. */
export function connectTargets(results: ConnectResults): Target[] {
	const warm = Object.entries(results).filter(([place]) => !place.endsWith(FRESH));
	return warm.flatMap(([place, samples]): Target[] => [
		{
			title: `${place}: all of ten, beside raw clients`,
			is: "at most",
			limit: 1.15,
			unit: "x",
			values: allRatios(samples, "forksafe's Pool"),
		},
		{
			title: `${place}: the first, beside one raw client`,
			is: "at most",
			limit: 1.3,
			unit: "x",
			values: firstRatios(samples, "forksafe's Pool"),
		},
	]);
}

/** Asynchronous: the proxy lives in this process. */
async function runWorker(url: string, warmUpRounds: number, rounds: number, ways: readonly Way[]): Promise<Samples> {
	const worker = fileURLToPath(new URL("./connect-worker.ts", import.meta.url));
	const { stdout } = await run(process.execPath, [worker, url, String(warmUpRounds), String(rounds), ...ways]);
	return JSON.parse(stdout);
}

function firsts(samples: Samples, way: Way): number[] {
	return samples[way]?.map(({ first }) => first) ?? [];
}

function alls(samples: Samples, way: Way): number[] {
	return samples[way]?.map(({ all }) => all) ?? [];
}

function firstRatios(samples: Samples, way: Way): number[] {
	return ratios(firsts(samples, way), firsts(samples, "one client"));
}

function allRatios(samples: Samples, way: Way): number[] {
	return ratios(alls(samples, way), alls(samples, "ten clients"));
}
