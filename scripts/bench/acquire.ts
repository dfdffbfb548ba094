/**
 * What does taking an idle connection out of a pool and giving it back cost?
 *
 * Every pool and round runs in a fresh process. One round runs all pools, each round in another order, so that what else
 * the machine does meets all of them; ratios are taken within a round. Times are reported, never asserted.
 *
 * `node bench/acquire.ts [--rounds N] [--short] [--json FILE]`
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import os from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { AllocationSample, TimeSample } from "./acquire-worker.ts";
import { type SubjectName, subjectNames } from "./subjects.ts";

interface Effort {
	rounds: number;
	operations: number;
	warmUpMillis: number;
	allocationRounds: number;
	allocationOperations: number;
}

interface Quartiles {
	lower: number;
	median: number;
	upper: number;
}

interface Result {
	times: TimeSample[];
	allocations: AllocationSample[];
}

const USUAL: Effort = {
	rounds: 9,
	operations: 500_000,
	warmUpMillis: 400,
	allocationRounds: 3,
	allocationOperations: 50_000,
};
const SHORT: Effort = {
	rounds: 3,
	operations: 100_000,
	warmUpMillis: 150,
	allocationRounds: 1,
	allocationOperations: 20_000,
};
/** Megabytes: 50,000 operations of 10 kB each fit. */
const YOUNG_GENERATION = 512;
const LOOKED_AT: SubjectName = "forksafe, processWatch: always";
const TARGETS = "targets for processWatch: always: at least 4x tarn, at least 2x pg-pool, under 1 KB per operation";

const { values } = parseArgs({
	options: {
		rounds: { type: "string" },
		short: { type: "boolean", default: false },
		json: { type: "string" },
	},
});
const effort = { ...(values.short ? SHORT : USUAL) };
if (values.rounds !== undefined) effort.rounds = atLeastOne("--rounds", values.rounds);

const results = measureAll(effort);
console.log(report(results));
if (values.json !== undefined) {
	writeFileSync(
		values.json,
		`${JSON.stringify({ ...circumstances(), effort, results: Object.fromEntries(results) }, null, "\t")}\n`,
	);
}

function atLeastOne(option: string, value: string): number {
	const number = Number(value);
	if (!Number.isSafeInteger(number) || number < 1) throw new Error(`${option} must be a whole number, 1 or more: ${value}`);
	return number;
}

function measureAll({
	rounds,
	operations,
	warmUpMillis,
	allocationRounds,
	allocationOperations,
}: Effort): Map<SubjectName, Result> {
	const results = new Map<SubjectName, Result>(subjectNames.map((name) => [name, { times: [], allocations: [] }]));
	for (let round = 0; round < rounds; round++) {
		progress(`round ${round + 1} of ${rounds}`);
		for (const name of inOrderOf(round)) {
			results.get(name)?.times.push(runWorker<TimeSample>([], name, "time", operations, warmUpMillis));
		}
	}
	const flags = ["--expose-gc", `--min-semi-space-size=${YOUNG_GENERATION}`, `--max-semi-space-size=${YOUNG_GENERATION}`];
	for (let round = 0; round < allocationRounds; round++) {
		progress(`allocation, round ${round + 1} of ${allocationRounds}`);
		for (const name of inOrderOf(round)) {
			const sample = runWorker<AllocationSample>(flags, name, "allocation", allocationOperations, warmUpMillis);
			results.get(name)?.allocations.push(sample);
		}
	}
	return results;
}

/** Each round begins with another pool, and every second one goes backwards: none always follows the same neighbour. */
function inOrderOf(round: number): SubjectName[] {
	const first = round % subjectNames.length;
	const order = [...subjectNames.slice(first), ...subjectNames.slice(0, first)];
	return round % 2 === 0 ? order : order.reverse();
}

/** @throws when the worker fails; what it says goes to standard error */
function runWorker<Sample>(flags: string[], ...args: [SubjectName, "time" | "allocation", number, number]): Sample {
	const worker = fileURLToPath(new URL("./acquire-worker.ts", import.meta.url));
	const output = execFileSync(process.execPath, [...flags, worker, ...args.map(String)], {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "inherit"],
	});
	return JSON.parse(output);
}

function progress(text: string): void {
	if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}

function circumstances(): { node: string; machine: string; command: string } {
	const cpus = os.cpus();
	return {
		node: `${process.version} (V8 ${process.versions.v8})`,
		machine: `${os.type()} ${os.release()} ${os.arch()}, ${cpus.length} x ${cpus[0]?.model.trim() ?? "unknown processor"}`,
		command: ["node", "bench/acquire.ts", ...process.argv.slice(2)].join(" "),
	};
}

function report(results: ReadonlyMap<SubjectName, Result>): string {
	const { node, machine, command } = circumstances();
	const times = (name: SubjectName): number[] => results.get(name)?.times.map(({ wall }) => wall) ?? [];
	const rows = [...results].map(([name, { times: samples, allocations }]) => [
		name,
		withQuartiles(times(name), 0),
		quartiles(samples.map(({ cpu }) => cpu)).median.toFixed(0),
		quartiles(allocations.map(({ bytes }) => bytes)).median.toFixed(0),
		name === "tarn" ? "" : withQuartiles(ratios(times("tarn"), times(name)), 2),
		name === "pg-pool" ? "" : withQuartiles(ratios(times("pg-pool"), times(name)), 2),
	]);
	const header = ["pool", "ns/op (quartiles)", "CPU ns/op", "bytes/op", "faster than tarn", "than pg-pool"];
	return [
		"acquire + release: fake driver, one idle connection, serial, warm; every pool and round in a fresh process",
		"",
		...table([header, ...rows]),
		"",
		`${TARGETS}; measured: ${summary(results, times)}`,
		...collectionWarnings(results),
		`${effort.rounds} rounds of ${effort.operations} operations; ratios are paired by round`,
		`node ${node}, ${machine}`,
		command,
	].join("\n");
}

function summary(results: ReadonlyMap<SubjectName, Result>, times: (name: SubjectName) => number[]): string {
	const bytes = quartiles(results.get(LOOKED_AT)?.allocations.map((sample) => sample.bytes) ?? []).median;
	const overTarn = quartiles(ratios(times("tarn"), times(LOOKED_AT))).median;
	const overPgPool = quartiles(ratios(times("pg-pool"), times(LOOKED_AT))).median;
	return `${overTarn.toFixed(2)}x, ${overPgPool.toFixed(2)}x, ${bytes.toFixed(0)} bytes`;
}

function collectionWarnings(results: ReadonlyMap<SubjectName, Result>): string[] {
	return [...results]
		.filter(([, { allocations }]) => allocations.some(({ collections }) => collections > 0))
		.map(([name]) => `garbage was collected while the allocation of "${name}" was measured: its bytes/op is too low`);
}

function ratios(slower: number[], faster: number[]): number[] {
	return slower.map((time, round) => time / (faster[round] ?? Number.NaN));
}

function quartiles(values: number[]): Quartiles {
	const sorted = values.toSorted((a, b) => a - b);
	const at = (fraction: number): number => {
		const position = (sorted.length - 1) * fraction;
		const below = sorted[Math.floor(position)] ?? Number.NaN;
		const above = sorted[Math.ceil(position)] ?? Number.NaN;
		return below + (above - below) * (position % 1);
	};
	return { lower: at(0.25), median: at(0.5), upper: at(0.75) };
}

function withQuartiles(values: number[], digits: number): string {
	const { lower, median, upper } = quartiles(values);
	return `${median.toFixed(digits)} (${lower.toFixed(digits)}-${upper.toFixed(digits)})`;
}

/** The first column is text, the others are numbers. */
function table(rows: string[][]): string[] {
	const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
	return rows.map((row) =>
		row.map((cell, column) => (column === 0 ? cell.padEnd(width(column)) : cell.padStart(width(column)))).join(" | "),
	);
}
