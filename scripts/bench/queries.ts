/** What does a query cost through Knex and Kysely over a pool of ours, beside their own? A PostgreSQL of our own answers, over TCP and a unix socket. */
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { offeredTransports } from "../../test/support/transports.ts";
import { table } from "../demo/table.ts";
import type { Effort } from "./effort.ts";
import type { Pair } from "./queries-worker.ts";
import { createTables, kinds, type Library, libraries, type Style, styles } from "./query-subjects.ts";
import { mean, ratios, withInterval } from "./statistics.ts";
import type { Target } from "./target.ts";

export interface QueryResult {
	readonly library: Library;
	readonly transport: string;
	readonly kind: string;
	readonly style: Style;
	readonly concurrency: number;
	readonly pairs: readonly Pair[];
}

const SLICE_MILLIS = 250;
/** Of CPU, beside the library over its own pool. */
const CPU_LIMIT: Record<Library, Record<Style, number>> = {
	Knex: { raw: 0.9, builder: 0.95 },
	Kysely: { raw: 0.95, builder: 0.95 },
};
const LEAST_THROUGHPUT = 0.98;
const run = promisify(execFile);

export async function measureQueries(effort: Effort, progress: (text: string) => void): Promise<QueryResult[]> {
	const server = await startEmbeddedServer({ maxConnections: 100, tls: false, unixSocket: true, trustsUnixSocket: true });
	try {
		const { unixSocketUrl } = await offeredTransports(server.url);
		if (unixSocketUrl === undefined) throw new Error("the server does not offer a unix socket");
		await createTables(server.url);
		const places = [
			{ transport: "unix socket", url: unixSocketUrl },
			{ transport: "TCP", url: server.url },
		];
		const results: QueryResult[] = [];
		for (const library of libraries) {
			for (const { transport, url } of places) {
				for (const kind of kinds) {
					for (const style of styles) {
						for (const concurrency of effort.queryConcurrencies) {
							progress(`queries: ${library}, ${kind}, ${style}, ${concurrency} at a time, ${transport}`);
							const pairs = await runWorker(url, library, kind, style, concurrency, effort.queryPairs, SLICE_MILLIS);
							results.push({ library, transport, kind, style, concurrency, pairs });
						}
					}
				}
			}
		}
		return results;
	} finally {
		await server.stop();
	}
}

export function reportQueries(results: readonly QueryResult[], effort: Effort): string {
	const rows = results.map((result) => [
		`${result.library}: ${result.kind}, ${result.style}`,
		result.transport,
		String(result.concurrency),
		mean(result.pairs.map(({ plain }) => plain.cpu)).toFixed(1),
		withInterval(cpuRatios(result), 3),
		mean(result.pairs.map(({ plain }) => plain.throughput)).toFixed(0),
		withInterval(throughputRatios(result), 3),
	]);
	const columns = [
		{ title: "query", align: "left" },
		{ title: "over", align: "left" },
		{ title: "at a time" },
		{ title: "plain, CPU us/query" },
		{ title: "ours: times that (95 %)" },
		{ title: "plain, queries/s" },
		{ title: "ours: times that (95 %)" },
	] as const;
	return [
		"queries: Knex and Kysely over a pool of ours, beside their own, in turn in one process",
		`${effort.queryPairs} pairs of slices of ${SLICE_MILLIS} ms; means of the paired ratios, with their confidence interval`,
		"",
		table(columns, rows),
	].join("\n");
}

export function queryTargets(results: readonly QueryResult[]): Target[] {
	return libraries.flatMap((library) => {
		const ofLibrary = results.filter((result) => result.library === library);
		const cpu = styles.map((style): Target => {
			const values = ofLibrary.filter((result) => result.style === style).map((result) => mean(cpuRatios(result)));
			const limit = CPU_LIMIT[library][style];
			return { title: `${library}, ${style}: CPU beside plain ${library}`, is: "at most", limit, unit: "x", values };
		});
		const throughput: Target = {
			title: `${library}: the least throughput beside plain ${library}`,
			is: "at least",
			limit: LEAST_THROUGHPUT,
			unit: "x",
			values: [Math.min(...ofLibrary.map((result) => mean(throughputRatios(result))))],
		};
		return [...cpu, throughput];
	});
}

function cpuRatios({ pairs }: QueryResult): number[] {
	return ratios(
		pairs.map(({ ours }) => ours.cpu),
		pairs.map(({ plain }) => plain.cpu),
	);
}

function throughputRatios({ pairs }: QueryResult): number[] {
	return ratios(
		pairs.map(({ ours }) => ours.throughput),
		pairs.map(({ plain }) => plain.throughput),
	);
}

async function runWorker(...args: readonly [string, ...(string | number)[]]): Promise<Pair[]> {
	const worker = fileURLToPath(new URL("./queries-worker.ts", import.meta.url));
	const { stdout } = await run(process.execPath, [worker, ...args.map(String)]);
	return JSON.parse(stdout);
}
