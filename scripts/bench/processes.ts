/** How does a pool do in several processes at once, over one server? */
import { withServer } from "./bench-server.ts";
import { type Chart, marksOf } from "./chart.ts";
import { faces } from "./faces.ts";
import type { Part } from "./part.ts";
import type { Slice } from "./queries-worker.ts";
import { createTables, type Kind } from "./query-tables.ts";
import { tableOf } from "./section.ts";
import { inTurn, POOL_SIZE, type QueryWorker, SLICE_MILLIS, sliceOf, startQueryWorker, warmUp } from "./slices.ts";
import { withInterval } from "./statistics.ts";

/** By how many processes, and by face. */
export type ProcessesResults = Readonly<Record<number, Readonly<Record<string, readonly Slice[]>>>>;

const KIND: Kind = "select by primary key";
const measured = faces.filter(({ library }) => library === "pg" || library === "postgres.js");
const names = measured.map(({ name }) => name);

export const processes: Part<ProcessesResults> = {
	name: "processes",
	measure: ({ processCounts, processRounds, queryWarmUp }, progress) => {
		const most = Math.max(...processCounts);
		return withServer(names.length * most * POOL_SIZE + 20, async ({ tcp, unixSocket: { url } }) => {
			await createTables(tcp.url);
			const teams = new Map(names.map((name) => [name, Array.from({ length: most }, () => startQueryWorker(url, KIND, name))]));
			try {
				await warmUp([...teams.values()].flat(), KIND, queryWarmUp);
				const results: Record<number, Record<string, Slice[]>> = {};
				for (const count of processCounts) {
					progress(`processes: ${count}`);
					results[count] = await inTurn(names, processRounds, (name) => together(teams.get(name)?.slice(0, count) ?? []));
				}
				return results;
			} finally {
				await Promise.all([...teams.values()].flat().map((worker) => worker.stop()));
			}
		});
	},
	describe(results, { processRounds }) {
		const counts = Object.keys(results);
		const row = (name: string, of: (slice: Slice) => number, digits: number): string[] => [
			name,
			...counts.map((count) => withInterval(results[Number(count)]?.[name]?.map(of) ?? [], digits)),
		];
		const columns = ["processes", ...counts];
		return {
			title: "Growth with the number of processes",
			paragraphs: [
				`So many processes at once, each with a pool of ${POOL_SIZE} connections and as many users: ${KIND}, unix socket; ${processRounds} rounds of slices of ${SLICE_MILLIS} ms, in turn. All of them, and the server, share the processors of the machine.`,
			],
			tables: [
				tableOf(
					"Queries per second of all together (95 %)",
					columns,
					names.map((name) => row(name, ({ throughput }) => throughput, 0)),
				),
				tableOf(
					"CPU of the processes that ask, us per query (95 %)",
					columns,
					names.map((name) => row(name, ({ cpu }) => cpu, 1)),
				),
			],
			charts: [processesChart(results)],
			targets: [],
		};
	},
};

/** One slice of all of them at the same time. */
async function together(workers: readonly QueryWorker[]): Promise<Slice> {
	const slices = await Promise.all(workers.map((worker) => sliceOf(worker, POOL_SIZE)));
	const throughput = slices.reduce((sum, slice) => sum + slice.throughput, 0);
	const cpu = slices.reduce((sum, slice) => sum + slice.cpu * slice.throughput, 0) / throughput;
	return { cpu, throughput };
}

function processesChart(results: ProcessesResults): Chart {
	return {
		name: "processes",
		title: "Queries per second of several processes together",
		subtitle: `${KIND}, a pool of ${POOL_SIZE} in each; medians of interleaved slices with their 95 % interval; more is better`,
		shape: "lines",
		valueTitle: "queries per second",
		growthTitle: "processes",
		isLogarithmic: false,
		marks: Object.entries(results).flatMap(([count, slices]) =>
			names.flatMap((name) => marksOf("", name, Number(count), slices[name]?.map(({ throughput }) => throughput) ?? [])),
		),
	};
}
