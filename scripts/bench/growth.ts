/** What does acquire and release cost when many wait, and in large pools? Measured as `acquire.ts` does it. */
import { sampleTime } from "./acquire-sample.ts";
import type { TimeSample } from "./acquire-worker.ts";
import { type Chart, marksOf } from "./chart.ts";
import type { Part } from "./part.ts";
import { poolNames, type SubjectName } from "./pool-subjects.ts";
import { type Table, tableOf } from "./section.ts";
import { inOrderOf, withInterval } from "./statistics.ts";
import type { Scale, WorkloadName } from "./workloads.ts";

interface Growth {
	readonly workload: WorkloadName;
	readonly title: string;
	readonly grows: string;
	readonly sizes: readonly number[];
	readonly scale: (size: number) => Scale;
}

/** By what grows, size and pool. */
export type GrowthResults = Readonly<Record<string, Readonly<Record<number, Partial<Record<SubjectName, TimeSample[]>>>>>>;

const POOL_SIZES = [1, 10, 100, 1_000];

const growths = {
	waiters: {
		workload: "waiters",
		title: "Waiters in the queue of one connection",
		grows: "waiters at once",
		sizes: [1, 10, 100, 1_000, 10_000, 100_000],
		scale: (waiters) => ({ waiters, connections: 1 }),
	},
	"pool-size-serial": {
		workload: "serial",
		title: "One user of a pool whose connections are all open",
		grows: "connections",
		sizes: POOL_SIZES,
		scale: (connections) => ({ waiters: 0, connections }),
	},
	"pool-size-contended": {
		workload: "contended",
		title: "Ten users for each connection",
		grows: "connections",
		sizes: POOL_SIZES,
		scale: (connections) => ({ waiters: 0, connections }),
	},
} as const satisfies Record<string, Growth>;

const names = Object.keys(growths) as (keyof typeof growths)[];

export const growth: Part<GrowthResults> = {
	name: "growth",
	async measure({ growthRounds, growthOperations: operations, growthWarmUpMillis: warmUpMillis, growthSizes }, progress) {
		const results: Record<string, Record<number, Partial<Record<SubjectName, TimeSample[]>>>> = {};
		for (const name of names) {
			const { workload, scale, sizes }: Growth = growths[name];
			results[name] = {};
			for (const size of sizes.slice(0, growthSizes)) {
				progress(`growth: ${name}, ${size}`);
				const ofSize: Partial<Record<SubjectName, TimeSample[]>> = {};
				results[name][size] = ofSize;
				for (let round = 0; round < growthRounds; round++) {
					for (const subject of inOrderOf(round, poolNames)) {
						const sample = await sampleTime(workload, subject, { operations, warmUpMillis, ...scale(size) });
						ofSize[subject] = [...(ofSize[subject] ?? []), sample];
					}
				}
			}
		}
		return results;
	},
	describe(results, { growthRounds, growthOperations }) {
		return {
			title: "Growth with waiters and pool size",
			paragraphs: [
				`Nanoseconds of wall time per acquire and release, over connections that do nothing; each pool, size and round in a fresh process, ${growthRounds} rounds of ${growthOperations} operations at the least. What does not grow costs the same in every column.`,
			],
			tables: names.map((name) => growthTable(growths[name], results[name] ?? {})),
			charts: names.map((name) => growthChart(name, growths[name], results[name] ?? {})),
			targets: [],
		};
	},
};

function growthTable({ title, grows, sizes }: Growth, results: GrowthResults[string]): Table {
	const measured = sizes.filter((size) => results[size] !== undefined);
	const rows = poolNames.map((pool) => [pool, ...measured.map((size) => withInterval(wallOf(results[size]?.[pool]), 0))]);
	return tableOf(`${title}: ns/op (95 %), by ${grows}`, ["pool", ...measured.map(String)], rows);
}

function growthChart(name: string, { title, grows, sizes }: Growth, results: GrowthResults[string]): Chart {
	return {
		name,
		title: `${title}: nanoseconds an operation`,
		subtitle: "Connections that do nothing; medians of fresh processes with their 95 % interval; less is better, flat is best",
		shape: "lines",
		valueTitle: "ns per acquire + release",
		growthTitle: grows,
		isLogarithmic: true,
		marks: poolNames.flatMap((pool) => sizes.flatMap((size) => marksOf("", pool, size, wallOf(results[size]?.[pool])))),
	};
}

function wallOf(samples: readonly TimeSample[] = []): number[] {
	return samples.map(({ wall }) => wall);
}
