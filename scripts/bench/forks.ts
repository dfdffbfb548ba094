/** How long does a forked child wait for its first answer, beside a child that opens a connection itself? */
import { devNull } from "node:os";
import { reportsVariable } from "../../test/support/report.ts";
import { withServer } from "./bench-server.ts";
import { type Chart, FORKSAFE, marksOf, YARDSTICK } from "./chart.ts";
import { type ForkAnswer, type ForkOrder, type Way, ways } from "./forks-worker.ts";
import type { Part } from "./part.ts";
import { type Table, tableOf } from "./section.ts";
import { inTurn } from "./slices.ts";
import { median, ratios, withInterval } from "./statistics.ts";
import type { Target } from "./target.ts";
import { WorkerProcess } from "./worker-process.ts";

interface Forks {
	readonly transport: string;
	/** At once. */
	readonly children: number;
	readonly answers: Readonly<Partial<Record<Way, readonly ForkAnswer[]>>>;
}

export type ForksResults = readonly Forks[];

const RAW: Way = "raw connect";
const names = Object.keys(ways) as Way[];
/** Of all parents together and of one crowd of children, with room. */
const MAX_CONNECTIONS = 300;
/** For a hundred children on a machine that is not ours alone. */
const DEADLINE_MILLIS = 120_000;

export const forks: Part<ForksResults> = {
	name: "forks",
	measure: ({ forkRounds, transports }, progress) =>
		withServer(MAX_CONNECTIONS, async (server) => {
			const results: Forks[] = [];
			for (const { title: transport, url } of transports.map((name) => server[name])) {
				const parents = new Map(names.map((way) => [way, startParent(url, way)]));
				try {
					for (const [children, rounds] of forkRounds) {
						progress(`forks: ${children} children at once, ${transport}`);
						const ask = (way: string): Promise<ForkAnswer> => parentOf(parents, way as Way).order({ children });
						results.push({ transport, children, answers: await inTurn(names, rounds, ask) });
					}
				} finally {
					await Promise.all([...parents.values()].map((parent) => parent.stop()));
				}
			}
			return results;
		}),
	describe(results, { forkRounds }) {
		const rounds = forkRounds.map(([children, count]) => `${count} of ${children}`).join(", ");
		return {
			title: "The first answer after a fork",
			paragraphs: [
				`Real forks (\`fork(2)\` from a warm parent with ten open connections of the same kind, Node \`--single-threaded\`); each child asks \`select 1\` at once, over a connection that it has to open. Each way has a parent of its own; rounds (${rounds} children at once) are taken in turn, and ratios paired by round. Children share the processors of the machine: of many at once, most wait for each other.`,
			],
			tables: results.map(forkTable),
			charts: [forkChart(results)],
			targets: results.flatMap(targetsOf),
		};
	},
};

type Parent = WorkerProcess<ForkOrder, ForkAnswer>;

function startParent(url: string, way: Way): Parent {
	const program = new URL("./forks-worker.ts", import.meta.url);
	// What its children report on their own is of no use here: their results are asked for.
	const env = { [reportsVariable]: devNull };
	return new WorkerProcess(program, [url, way], { flags: ["--single-threaded"], env, deadlineMillis: DEADLINE_MILLIS });
}

function parentOf(parents: ReadonlyMap<Way, Parent>, way: Way): Parent {
	const parent = parents.get(way);
	if (parent === undefined) throw new Error(`bug: no parent for ${way}`);
	return parent;
}

function forkTable({ transport, children, answers }: Forks): Table {
	const columns = ["a child's own ms", `times ${RAW}`, `the slowest child's, times ${RAW}`, "until all have answered, ms"];
	const rows = names.map((way) => [
		way,
		withInterval(typical(answers[way]), 1),
		way === RAW ? "" : withInterval(ratios(typical(answers[way]), typical(answers[RAW])), 2),
		way === RAW ? "" : withInterval(ratios(slowest(answers[way]), slowest(answers[RAW])), 2),
		withInterval(answers[way]?.map(({ last }) => last) ?? [], 1),
	]);
	return tableOf(`${children} at once, ${transport} (95 %)`, ["first query", ...columns], rows);
}

function forkChart(results: ForksResults): Chart {
	return {
		name: "forks",
		title: "The first answer after a fork: milliseconds from the child's fork",
		subtitle: "The median child of each round; medians of the rounds with their 95 % interval; less is better",
		shape: "dots",
		valueTitle: "ms (logarithmic)",
		isLogarithmic: true,
		marks: results
			.filter(({ transport }) => transport === results[0]?.transport)
			.flatMap(({ transport, children, answers }) =>
				names.flatMap((way) =>
					marksOf(`${children} at once, ${transport}`, way === RAW ? YARDSTICK : FORKSAFE, way, typical(answers[way])),
				),
			),
	};
}

function targetsOf({ transport, children, answers }: Forks): Target[] {
	const pool = answers["forksafe Pool"];
	const beside = (of: (all?: readonly ForkAnswer[]) => number[]): number[] => ratios(of(pool), of(answers[RAW]));
	const common = { is: "at most", unit: "x" } as const;
	if (children === 1) {
		const title = `${transport}: first answer in a forked child, beside raw connect + query`;
		return [{ ...common, title, limit: 1.1, values: beside(typical) }];
	}
	if (children !== 10) return [];
	const title = `${transport}: the last of ten children at once, beside ten raw connects`;
	return [{ ...common, title, limit: 1.15, values: beside(slowest) }];
}

function typical(answers: readonly ForkAnswer[] = []): number[] {
	return answers.map(({ own }) => median(own));
}

function slowest(answers: readonly ForkAnswer[] = []): number[] {
	return answers.map(({ own }) => Math.max(...own));
}
