/** What does a query cost through each face? A PostgreSQL of our own answers, over TCP and a unix socket. */
import { type Place, withServer } from "./bench-server.ts";
import { type Chart, marksOf } from "./chart.ts";
import type { Effort } from "./effort.ts";
import { faceSeries, faces } from "./faces.ts";
import type { Part } from "./part.ts";
import type { Slice } from "./queries-worker.ts";
import { createTables, type Kind } from "./query-tables.ts";
import { cpuOf, type QueryResult, queryTargets, throughputOf } from "./query-targets.ts";
import { type Table, tableOf } from "./section.ts";
import { inTurn, LEAD_MILLIS, POOL_SIZE, SLICE_MILLIS, sliceOf, startQueryWorker, warmUp } from "./slices.ts";
import { ratios, withInterval } from "./statistics.ts";

/** At so many users the charts are drawn. */
const DRAWN_USERS = 10;

export const queries: Part<readonly QueryResult[]> = {
	name: "queries",
	measure: (effort, progress) =>
		// With some to spare for who makes the tables, and who looks at the server.
		withServer(faces.length * POOL_SIZE + 20, async (server) => {
			await createTables(server.tcp.url);
			const results: QueryResult[] = [];
			for (const place of effort.transports.map((transport) => server[transport])) {
				for (const kind of effort.queryKinds) results.push(...(await measureKind(place, kind, effort, progress)));
			}
			return results;
		}),
	describe(results, { queryRounds, queryWarmUp }) {
		return {
			title: "Queries through each face",
			paragraphs: [
				`Each face in a process of its own, with a pool of ${POOL_SIZE} connections, warmed up by ${queryWarmUp} statements. Then slices of ${SLICE_MILLIS} ms of all of them in turn, ${queryRounds} rounds, each in another order; ${LEAD_MILLIS} ms in front of each slice do not count. Ratios are paired by round. CPU is that of the process that asks, all its threads; the server has the same processors.`,
				"What the others do differently: postgres.js prepares every statement, and sends several over one connection without waiting for an answer. pg-promise puts the values into the text on the client. slonik runs `DISCARD ALL` whenever a connection comes back, and brings type parsers of its own. pg, Knex and Kysely send unnamed statements, which the server parses and plans each time; so does forksafe unless it says `prepare`.",
			],
			tables: [...Map.groupBy(results, ({ kind, transport }) => `${kind}, ${transport}`)].flatMap(([title, group]) =>
				tablesOf(title, group),
			),
			charts: [throughputChart(results), cpuChart(results)],
			targets: queryTargets(results),
		};
	},
};

/** `select 1` leaves a builder nothing to build. */
function facesFor(kind: Kind): string[] {
	return faces.filter(({ style }) => style === "raw" || kind !== "select 1").map(({ name }) => name);
}

async function measureKind(
	{ title: transport, url }: Place,
	kind: Kind,
	{ queryRounds, queryConcurrencies, queryWarmUp }: Effort,
	progress: (text: string) => void,
): Promise<QueryResult[]> {
	const names = facesFor(kind);
	const workers = new Map(names.map((name) => [name, startQueryWorker(url, kind, name)]));
	try {
		progress(`queries: ${kind}, ${transport}: warm-up`);
		await warmUp([...workers.values()], kind, queryWarmUp);
		const results: QueryResult[] = [];
		for (const users of queryConcurrencies) {
			progress(`queries: ${kind}, ${transport}, ${users} at a time`);
			const slices = await inTurn(names, queryRounds, (name) => sliceOf(workerOf(workers, name), users));
			results.push({ transport, kind, users, slices });
		}
		return results;
	} finally {
		await Promise.all([...workers.values()].map((worker) => worker.stop()));
	}
}

function workerOf<W>(workers: ReadonlyMap<string, W>, name: string): W {
	const worker = workers.get(name);
	if (worker === undefined) throw new Error(`bug: no worker for ${name}`);
	return worker;
}

/** Of one kind over one transport: by face, for each number of users. */
function tablesOf(title: string, results: readonly QueryResult[]): Table[] {
	const measured = faces.filter(({ name }) => results.some(({ slices }) => slices[name] !== undefined));
	const columns = (what: string): string[] => results.map(({ users }) => `${what}, ${users} at a time`);
	const absolute = measured.map(({ name }) => [
		name,
		...results.map(({ slices }) => withInterval(throughputOf(slices[name]), 0)),
		...results.map(({ slices }) => withInterval(cpuOf(slices[name]), 1)),
	]);
	const paired = measured
		.filter(({ pool }) => pool !== "own")
		.map(({ name, library, style }) => {
			const own = faces.find((face) => face.library === library && face.style === style && face.pool === "own")?.name ?? "";
			const beside = (of: (slices?: readonly Slice[]) => number[]): string[] =>
				results.map(({ slices }) => withInterval(ratios(of(slices[name]), of(slices[own])), 3));
			return [name, ...beside(throughputOf), ...beside(cpuOf)];
		});
	return [
		tableOf(`${title} (95 %)`, ["face", ...columns("per second"), ...columns("CPU us")], absolute),
		tableOf(
			`${title}: times the same library over its own pool (95 %)`,
			["face", ...columns("throughput"), ...columns("CPU")],
			paired,
		),
	];
}

function throughputChart(results: readonly QueryResult[]): Chart {
	return {
		...chartOf(results, throughputOf),
		name: "queries-throughput",
		title: `Queries per second, ${DRAWN_USERS} at a time`,
		subtitle: "PostgreSQL on the same machine; medians of interleaved slices with their 95 % interval; more is better",
		valueTitle: "queries (or transactions) per second",
	};
}

function cpuChart(results: readonly QueryResult[]): Chart {
	return {
		...chartOf(results, cpuOf),
		name: "queries-cpu",
		title: `Processor time for each query, ${DRAWN_USERS} at a time`,
		subtitle: "Of the process that asks; medians of interleaved slices with their 95 % interval; less is better",
		valueTitle: "microseconds of CPU per query (or transaction)",
	};
}

function chartOf(
	results: readonly QueryResult[],
	of: (slices?: readonly Slice[]) => number[],
): Pick<Chart, "shape" | "isLogarithmic" | "marks"> {
	const marks = results
		.filter(({ users, transport }) => users === DRAWN_USERS && transport === results[0]?.transport)
		.flatMap(({ kind, transport, slices }) =>
			faces.flatMap((face) => marksOf(`${kind}: ${transport}`, faceSeries(face), face.name, of(slices[face.name]))),
		);
	return { shape: "dots", isLogarithmic: false, marks };
}
