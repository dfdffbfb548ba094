/**
 * What does acquire and release cost, over connections that do nothing?
 *
 * Every workload, pool and round runs in a fresh process. One round runs all pools, each round in another order, so that
 * what else the machine does meets all of them; ratios are taken within a round.
 */
import { sampleAllocation, sampleTime, seriesOf } from "./acquire-sample.ts";
import type { AllocationSample, TimeSample } from "./acquire-worker.ts";
import { type Chart, marksOf } from "./chart.ts";
import type { Effort } from "./effort.ts";
import type { Part } from "./part.ts";
import { BARE, CONNECTIONS, NOTHING, type SubjectName, WITH_SENTINEL } from "./pool-subjects.ts";
import { type Table, tableOf } from "./section.ts";
import { inOrderOf, median, ratios, withInterval } from "./statistics.ts";
import type { Target } from "./target.ts";
import { type Workload, type WorkloadName, workloads } from "./workloads.ts";

interface Result {
	readonly times: TimeSample[];
	readonly allocations: AllocationSample[];
}

type WorkloadResults = Partial<Record<SubjectName, Result>>;

/** By workload and pool. */
export type AcquireResults = Readonly<Record<string, WorkloadResults>>;

const WITH_SYSTEM_CALL: SubjectName = "forksafe, processWatch: always";
const FROM_MEMORY: SubjectName = "forksafe, processWatch: off";
const names = ["serial", "contended", "crowd", "aborts", "timeouts"] as const satisfies WorkloadName[];
const drawn = ["serial", "contended", "crowd"] as const;

export const acquire: Part<AcquireResults> = {
	name: "acquire",
	async measure(effort, progress) {
		const results: Record<string, WorkloadResults> = {};
		for (const name of names) results[name] = await measureWorkload(name, effort, (text) => progress(`${name}: ${text}`));
		return results;
	},
	describe(results, effort) {
		const awaits = withInterval(wallOf(results["serial"]?.[NOTHING]), 0);
		return {
			title: "Acquire and release",
			paragraphs: [
				`Pools of ${CONNECTIONS} connections that do nothing, default options otherwise. Each pool and workload in a fresh process, each round in another order; ratios are paired by round.`,
				`The harness is in every time: its loop and its own \`await\` of a resolved promise take ${awaits} ns an operation. "${BARE}" is what no pool can do without. Bytes are those of the heap, with a young generation in which all of them fit.`,
				...names.flatMap((name) => collectionWarnings(results[name] ?? {})),
			],
			tables: names.map((name) => workloadTable(name, results[name] ?? {}, effort)),
			charts: [timeChart(results)],
			targets: targetsOf(results),
		};
	},
};

async function measureWorkload(name: WorkloadName, effort: Effort, progress: (text: string) => void): Promise<WorkloadResults> {
	const { subjects }: Workload = workloads[name];
	const { rounds, operations, allocationRounds } = effortOf(name, effort);
	const { warmUpMillis, allocationOperations } = effort;
	const results: WorkloadResults = {};
	for (const subject of subjects) results[subject] = { times: [], allocations: [] };
	for (let round = 0; round < rounds; round++) {
		progress(`round ${round + 1} of ${rounds}`);
		for (const subject of inOrderOf(round, subjects)) {
			results[subject]?.times.push(await sampleTime(name, subject, { operations, warmUpMillis }));
		}
	}
	for (let round = 0; round < allocationRounds; round++) {
		progress(`allocation, round ${round + 1} of ${allocationRounds}`);
		for (const subject of inOrderOf(round, subjects)) {
			const options = { operations: allocationOperations, warmUpMillis };
			results[subject]?.allocations.push(await sampleAllocation(name, subject, options));
		}
	}
	return results;
}

function effortOf(name: WorkloadName, effort: Effort): { rounds: number; operations: number; allocationRounds: number } {
	const { isAtOnce }: Workload = workloads[name];
	const { rounds, operations, crowdRounds, crowdOperations, allocationRounds } = effort;
	// Half of a crowd outlives any young generation: what it allocates is not seen in this way.
	return isAtOnce
		? { rounds: crowdRounds, operations: crowdOperations, allocationRounds: 0 }
		: { rounds, operations, allocationRounds };
}

function workloadTable(name: WorkloadName, results: WorkloadResults, effort: Effort): Table {
	const { subjects, title }: Workload = workloads[name];
	const { rounds, operations } = effortOf(name, effort);
	const beside = (subject: SubjectName, other: SubjectName): string =>
		subject === other ? "" : withInterval(ratios(wallOf(results[other]), wallOf(results[subject])), 2);
	const rows = subjects.map((subject) => {
		const { times = [], allocations = [] } = results[subject] ?? {};
		const bytes = median(allocations.map((sample) => sample.bytes));
		return [
			subject,
			withInterval(wallOf(results[subject]), 0),
			median(times.map(({ cpu }) => cpu)).toFixed(0),
			Number.isNaN(bytes) ? "" : bytes.toFixed(0),
			subject === BARE ? "" : withInterval(ratios(wallOf(results[subject]), wallOf(results[BARE])), 2),
			beside(subject, "tarn"),
			beside(subject, "pg-pool"),
		];
	});
	const titles = ["pool", "ns/op (95 %)", "CPU ns/op", "bytes/op", "times the bare stack", "faster than tarn", "than pg-pool"];
	return tableOf(`${name}: ${title}; ${rounds} rounds of ${operations} operations`, titles, rows);
}

function timeChart(results: AcquireResults): Chart {
	return {
		name: "acquire",
		title: "Acquire and release: nanoseconds an operation",
		subtitle: "Pools of 10 connections that do nothing; medians of fresh processes with their 95 % interval; less is better",
		shape: "dots",
		valueTitle: "ns per acquire + release (logarithmic)",
		isLogarithmic: true,
		marks: drawn.flatMap((name) =>
			workloads[name].subjects.flatMap((subject) => marksOf(name, seriesOf(subject), subject, wallOf(results[name]?.[subject]))),
		),
	};
}

function targetsOf(results: AcquireResults): Target[] {
	const wall = (workload: string, name: SubjectName): number[] => wallOf(results[workload]?.[name]);
	const faster = (than: SubjectName, name: SubjectName): number[] => ratios(wall("serial", than), wall("serial", name));
	const slower = (workload: WorkloadName): number[] => ratios(wall(workload, FROM_MEMORY), wall(workload, BARE));
	const bytes = results["serial"]?.[FROM_MEMORY]?.allocations.map((sample) => sample.bytes) ?? [];
	const micros = wall("crowd", FROM_MEMORY).map((nanos) => nanos / 1_000);
	const least = (what: string, subject: SubjectName, than: SubjectName, limit: number): Target => {
		const title = `serial, ${what}: faster than ${than}`;
		return { title, is: "at least", limit, unit: "x", values: faster(than, subject) };
	};
	const memory = "watch off";
	const sentinel = "with the sentinel";
	const call = "watch always";
	return [
		{ title: `serial, ${memory}: beside the bare stack`, is: "at most", limit: 2, unit: "x", values: slower("serial") },
		{ title: `serial, ${memory}: allocates`, is: "at most", limit: 350, unit: " B", values: bytes },
		least(memory, FROM_MEMORY, "pg-pool", 8),
		least(memory, FROM_MEMORY, "tarn", 14),
		least(sentinel, WITH_SENTINEL, "pg-pool", 8),
		least(sentinel, WITH_SENTINEL, "tarn", 14),
		{ title: `contended, ${memory}: beside the bare stack`, is: "at most", limit: 1.5, unit: "x", values: slower("contended") },
		{ title: `crowd, ${memory}: microseconds per waiter`, is: "at most", limit: 2, unit: "", values: micros },
		least(call, WITH_SYSTEM_CALL, "tarn", 4),
		least(call, WITH_SYSTEM_CALL, "pg-pool", 2),
		least(call, WITH_SYSTEM_CALL, "generic-pool", 1),
	];
}

function wallOf(result: Result | undefined): number[] {
	return result?.times.map(({ wall }) => wall) ?? [];
}

function collectionWarnings(results: WorkloadResults): string[] {
	return Object.entries(results)
		.filter(([, { allocations }]) => allocations.some(({ collections }) => collections > 0))
		.map(([name]) => `Garbage was collected while the allocation of "${name}" was measured: its bytes/op is too low.`);
}
