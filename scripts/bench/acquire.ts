/**
 * What does a pool cost, where the driver does nothing?
 *
 * Every workload, pool and round runs in a fresh process. One round runs all pools, each round in another order, so that
 * what else the machine does meets all of them; ratios are taken within a round.
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { table } from "../demo/table.ts";
import type { Effort } from "./effort.ts";
import { inOrderOf, quartiles, ratios, withQuartiles } from "./statistics.ts";
import { BARE, type SubjectName } from "./subjects.ts";
import type { Target } from "./target.ts";
import type { AllocationSample, TimeSample } from "./worker.ts";
import { type Workload, type WorkloadName, workloads } from "./workloads.ts";

interface Result {
	readonly times: TimeSample[];
	readonly allocations: AllocationSample[];
}

/** By workload and pool. */
export type AcquireResults = Record<WorkloadName, Partial<Record<SubjectName, Result>>>;

/** Megabytes: 50,000 operations of 10 kB each fit. */
const YOUNG_GENERATION = 512;
const ALLOCATION_FLAGS = [
	"--expose-gc",
	`--min-semi-space-size=${YOUNG_GENERATION}`,
	`--max-semi-space-size=${YOUNG_GENERATION}`,
];
const WITH_SYSTEM_CALL: SubjectName = "forksafe, processWatch: always";
const FROM_MEMORY: SubjectName = "forksafe, processWatch: off";

const names = Object.keys(workloads) as WorkloadName[];

export function measureAcquire(effort: Effort, progress: (text: string) => void): AcquireResults {
	const entries = names.map((name) => [name, measureWorkload(name, effort, (text) => progress(`${name}: ${text}`))]);
	return Object.fromEntries(entries) as AcquireResults;
}

export function reportAcquire(results: AcquireResults, effort: Effort): string {
	return names.map((name) => reportWorkload(name, results, effort)).join("\n\n");
}

export function acquireTargets(results: AcquireResults): Target[] {
	const wall = (workload: WorkloadName, name: SubjectName): number[] => wallOf(results[workload][name]);
	const faster = (than: SubjectName, name: SubjectName): number[] => ratios(wall("serial", than), wall("serial", name));
	const slower = (workload: WorkloadName): number[] => ratios(wall(workload, FROM_MEMORY), wall(workload, BARE));
	const bytes = results.serial[FROM_MEMORY]?.allocations.map((sample) => sample.bytes) ?? [];
	const micros = wall("crowd", FROM_MEMORY).map((nanos) => nanos / 1_000);
	const memory = "watch off";
	const call = "watch always";
	return [
		{ title: `serial, ${memory}: beside the bare stack`, is: "at most", limit: 2, unit: "x", values: slower("serial") },
		{ title: `serial, ${memory}: allocates`, is: "at most", limit: 350, unit: " B", values: bytes },
		{
			title: `serial, ${memory}: faster than pg-pool`,
			is: "at least",
			limit: 8,
			unit: "x",
			values: faster("pg-pool", FROM_MEMORY),
		},
		{ title: `serial, ${memory}: faster than tarn`, is: "at least", limit: 14, unit: "x", values: faster("tarn", FROM_MEMORY) },
		{ title: `contended, ${memory}: beside the bare stack`, is: "at most", limit: 1.5, unit: "x", values: slower("contended") },
		{ title: `crowd, ${memory}: microseconds per waiter`, is: "at most", limit: 2, unit: "", values: micros },
		{ title: `serial, ${call}: faster than tarn`, is: "at least", limit: 4, unit: "x", values: faster("tarn", WITH_SYSTEM_CALL) },
		{
			title: `serial, ${call}: faster than pg-pool`,
			is: "at least",
			limit: 2,
			unit: "x",
			values: faster("pg-pool", WITH_SYSTEM_CALL),
		},
		{
			title: `serial, ${call}: faster than generic-pool`,
			is: "at least",
			limit: 1,
			unit: "x",
			values: faster("generic-pool", WITH_SYSTEM_CALL),
		},
	];
}

function measureWorkload(
	name: WorkloadName,
	effort: Effort,
	progress: (text: string) => void,
): Partial<Record<SubjectName, Result>> {
	const { subjects }: Workload = workloads[name];
	const { rounds, operations, allocationRounds } = effortOf(name, effort);
	const results: Partial<Record<SubjectName, Result>> = {};
	for (const subject of subjects) results[subject] = { times: [], allocations: [] };
	for (let round = 0; round < rounds; round++) {
		progress(`round ${round + 1} of ${rounds}`);
		for (const subject of inOrderOf(round, subjects)) {
			results[subject]?.times.push(runWorker<TimeSample>([], name, subject, "time", operations, effort.warmUpMillis));
		}
	}
	for (let round = 0; round < allocationRounds; round++) {
		progress(`allocation, round ${round + 1} of ${allocationRounds}`);
		for (const subject of inOrderOf(round, subjects)) {
			const args = [name, subject, "allocation", effort.allocationOperations, effort.warmUpMillis] as const;
			results[subject]?.allocations.push(runWorker<AllocationSample>(ALLOCATION_FLAGS, ...args));
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

/** @throws when the worker fails; what it says goes to standard error */
function runWorker<Sample>(
	flags: readonly string[],
	...args: readonly [WorkloadName, SubjectName, "time" | "allocation", number, number]
): Sample {
	const worker = fileURLToPath(new URL("./worker.ts", import.meta.url));
	const output = execFileSync(process.execPath, [...flags, worker, ...args.map(String)], {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "inherit"],
	});
	return JSON.parse(output);
}

function reportWorkload(name: WorkloadName, all: AcquireResults, effort: Effort): string {
	const results = all[name];
	const { subjects, title }: Workload = workloads[name];
	const { rounds, operations } = effortOf(name, effort);
	const over = (subject: SubjectName, other: SubjectName): string =>
		subject === other ? "" : withQuartiles(ratios(wallOf(results[other]), wallOf(results[subject])), 2);
	const rows = subjects.map((subject) => {
		const { times = [], allocations = [] } = results[subject] ?? {};
		const bytes = quartiles(allocations.map((sample) => sample.bytes)).median;
		return [
			subject,
			withQuartiles(wallOf(results[subject]), 0),
			quartiles(times.map(({ cpu }) => cpu)).median.toFixed(0),
			Number.isNaN(bytes) ? "" : bytes.toFixed(0),
			subject === BARE ? "" : withQuartiles(ratios(wallOf(results[subject]), wallOf(results[BARE])), 2),
			over(subject, "tarn"),
			over(subject, "pg-pool"),
		];
	});
	const titles = [
		"pool",
		"ns/op (quartiles)",
		"CPU ns/op",
		"bytes/op",
		"times the bare stack",
		"faster than tarn",
		"than pg-pool",
	];
	const columns = titles.map((column, at) => ({ title: column, align: at === 0 ? ("left" as const) : ("right" as const) }));
	const filled = columns.map((_, at) => rows.some((row) => row[at] !== ""));
	const shown = <T>(cells: readonly T[]): T[] => cells.filter((_, at) => filled[at]);
	return [
		`${name}: ${title}`,
		`${rounds} rounds of ${operations} operations; ratios are paired by round`,
		"",
		table(shown(columns), rows.map(shown)),
		...collectionWarnings(results),
	].join("\n");
}

function wallOf(result: Result | undefined): number[] {
	return result?.times.map(({ wall }) => wall) ?? [];
}

function collectionWarnings(results: Partial<Record<SubjectName, Result>>): string[] {
	return Object.entries(results)
		.filter(([, { allocations }]) => allocations.some(({ collections }) => collections > 0))
		.map(([name]) => `garbage was collected while the allocation of "${name}" was measured: its bytes/op is too low`);
}
