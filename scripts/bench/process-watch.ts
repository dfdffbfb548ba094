/**
 * What does it cost to know which process this is, and what does a pool save that stops looking? On one Node or several.
 *
 * Every signal, pool, Node and round in a fresh process; one round runs all of them, each in another order. What others do on the
 * machine lengthens the time on the clock more than that of the processor, which is shown.
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { table } from "../demo/table.ts";
import type { SupportedNode } from "../matrix/nodes.ts";
import type { Effort } from "./effort.ts";
import { pools, signals } from "./process-watch-cases.ts";
import { inOrderOf, ratios, withQuartiles } from "./statistics.ts";
import type { TimeSample } from "./worker.ts";

/** A Node that is measured. */
export type MeasuredNode = Pick<SupportedNode, "version" | "path" | "flags">;

interface Case {
	readonly kind: "signal" | "pool";
	readonly name: string;
	readonly node: MeasuredNode;
	/** By round. */
	readonly samples: TimeSample[];
}

/** Each of the signals and pools on each Node. */
export type ProcessWatchResults = readonly Case[];

const DEADLINE_MILLIS = 60_000;
const NEVER_LOOKS = "off";
const signalNames = Object.keys(signals);
const poolNames = Object.keys(pools);

/** The Node that runs this. */
export const ownNode: MeasuredNode = { version: process.versions.node, path: process.execPath, flags: [] };

export function measureProcessWatch(
	nodes: readonly MeasuredNode[],
	{ rounds, watchWarmUpMillis, watchMillis }: Effort,
	progress: (text: string) => void,
): ProcessWatchResults {
	const cases = nodes.flatMap((node) => [
		...signalNames.map((name): Case => ({ kind: "signal", name, node, samples: [] })),
		...poolNames.map((name): Case => ({ kind: "pool", name, node, samples: [] })),
	]);
	for (let round = 0; round < rounds; round++) {
		progress(`process watch: round ${round + 1} of ${rounds}`);
		for (const { kind, name, node, samples } of inOrderOf(round, cases)) {
			samples.push(runWorker(node, kind, name, watchWarmUpMillis, watchMillis));
		}
	}
	return cases;
}

export function reportProcessWatch(results: ProcessWatchResults, { rounds }: Effort): string {
	return [
		"process watch: nanoseconds of the processor, with quartiles",
		`${rounds} rounds, each of all of it in another order; ratios are paired by round`,
		"",
		tableOf(results, "which process is this?", signalNames, ({ samples }) => withQuartiles(cpuOf(samples), 0)),
		"",
		tableOf(results, "acquire and release", poolNames, ({ samples }) => withQuartiles(cpuOf(samples), 0)),
		"",
		tableOf(results, `beside "${NEVER_LOOKS}"`, poolNames, (one) => {
			const off = results.find(({ kind, name, node }) => kind === "pool" && name === NEVER_LOOKS && node === one.node);
			return withQuartiles(ratios(cpuOf(one.samples), cpuOf(off?.samples ?? [])), 2);
		}),
	].join("\n");
}

function tableOf(results: ProcessWatchResults, title: string, names: readonly string[], cell: (one: Case) => string): string {
	const nodes = [...new Set(results.map(({ node }) => node))];
	const columns = [{ title, align: "left" as const }, ...nodes.map(({ version }) => ({ title: `Node ${version}` }))];
	const rows = names.map((name) => [name, ...results.filter((one) => one.name === name).map(cell)]);
	return table(columns, rows);
}

function cpuOf(samples: readonly TimeSample[]): number[] {
	return samples.map(({ cpu }) => cpu);
}

/** @throws when the worker fails; what it says goes to standard error */
function runWorker({ path, flags }: MeasuredNode, ...args: readonly [string, string, number, number]): TimeSample {
	const worker = fileURLToPath(new URL("./process-watch-worker.ts", import.meta.url));
	const output = execFileSync(path, [...flags, worker, ...args.map(String)], {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "inherit"],
		timeout: DEADLINE_MILLIS,
	});
	return JSON.parse(output);
}
