/**
 * What does it cost to know which process this is, and what does a pool save that stops looking? On one Node or several.
 *
 * Every signal, pool, Node and round in a fresh process; one round runs all of them, each in another order. What others do on the
 * machine lengthens the time on the clock more than that of the processor, which is shown.
 */
import process from "node:process";
import type { SupportedNode } from "../matrix/nodes.ts";
import type { TimeSample } from "./acquire-worker.ts";
import { type Chart, FORKSAFE, marksOf, YARDSTICK } from "./chart.ts";
import { runFresh } from "./fresh-process.ts";
import type { Part } from "./part.ts";
import { pools, signals } from "./process-watch-cases.ts";
import { type Table, tableOf } from "./section.ts";
import { inOrderOf, ratios, withInterval } from "./statistics.ts";

/** A Node that is measured. */
export type MeasuredNode = Pick<SupportedNode, "version" | "path" | "flags">;

interface Case {
	readonly kind: "signal" | "pool";
	readonly name: string;
	/** Its version. */
	readonly node: string;
	/** By round. */
	readonly samples: TimeSample[];
}

/** Each of the signals and pools on each Node. */
export type ProcessWatchResults = readonly Case[];

const NEVER_LOOKS = "off";
const signalNames = Object.keys(signals);
const poolNames = Object.keys(pools);

/** The Node that runs this. */
export const ownNode: MeasuredNode = { version: process.versions.node, path: process.execPath, flags: [] };

export function processWatchOn(nodes: readonly MeasuredNode[]): Part<ProcessWatchResults> {
	return {
		name: "process-watch",
		async measure({ watchRounds, watchWarmUpMillis, watchMillis }, progress) {
			if (process.platform !== "linux") throw new Error(`process-watch needs Linux, and this is ${process.platform}`);
			const cases = nodes.flatMap((node) => [
				...signalNames.map((name) => ({ kind: "signal" as const, name, node, samples: [] as TimeSample[] })),
				...poolNames.map((name) => ({ kind: "pool" as const, name, node, samples: [] as TimeSample[] })),
			]);
			const program = new URL("./process-watch-worker.ts", import.meta.url);
			for (let round = 0; round < watchRounds; round++) {
				progress(`process watch: round ${round + 1} of ${watchRounds}`);
				for (const { kind, name, node, samples } of inOrderOf(round, cases)) {
					samples.push(await runFresh(program, [kind, name, watchWarmUpMillis, watchMillis], node));
				}
			}
			return cases.map(({ node, ...rest }) => ({ ...rest, node: node.version }));
		},
		describe(results, { watchRounds }) {
			const besideOff = (one: Case): string => {
				const off = results.find(({ kind, name, node }) => kind === "pool" && name === NEVER_LOOKS && node === one.node);
				return withInterval(ratios(cpuOf(one.samples), cpuOf(off?.samples ?? [])), 2);
			};
			const nanos = ({ samples }: Case): string => withInterval(cpuOf(samples), 1);
			return {
				title: "What each process signal costs",
				paragraphs: [
					`Nanoseconds of the processor. ${watchRounds} rounds, each of all of it in another order and in fresh processes; ratios are paired by round. The loop around a signal costs what "a variable" does.`,
				],
				tables: [
					caseTable(results, "which process is this?", signalNames, nanos),
					caseTable(results, "acquire and release", poolNames, nanos),
					caseTable(results, `acquire and release, beside "${NEVER_LOOKS}"`, poolNames, besideOff),
				],
				charts: [signalChart(results)],
				targets: [],
			};
		},
	};
}

function caseTable(results: ProcessWatchResults, title: string, names: readonly string[], cell: (one: Case) => string): Table {
	const nodes = [...new Set(results.map(({ node }) => node))];
	const rows = names.map((name) => [name, ...results.filter((one) => one.name === name).map(cell)]);
	return tableOf(title, ["ns of CPU (95 %)", ...nodes.map((version) => `Node ${version}`)], rows);
}

function signalChart(results: ProcessWatchResults): Chart {
	return {
		name: "process-signals",
		title: "Which process is this? Nanoseconds for each way to ask",
		subtitle: "Processor time; medians of fresh processes with their 95 % interval; less is better",
		shape: "dots",
		valueTitle: "ns of CPU for each look (logarithmic)",
		isLogarithmic: true,
		marks: results
			.filter(({ kind }) => kind === "signal")
			.flatMap(({ name, node, samples }) => {
				const series = name.includes("sentinel") || name.startsWith("currentGeneration") ? FORKSAFE : YARDSTICK;
				return marksOf(`Node ${node}`, series, name, cpuOf(samples));
			}),
	};
}

function cpuOf(samples: readonly TimeSample[]): number[] {
	return samples.map(({ cpu }) => cpu);
}
