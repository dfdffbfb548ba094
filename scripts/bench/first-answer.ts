/** How long does it take from the start of a process to its first answer, through each face? */
import { withServer } from "./bench-server.ts";
import { type Chart, marksOf, YARDSTICK } from "./chart.ts";
import { faceSeries, rawFaces } from "./faces.ts";
import type { FirstAnswer } from "./first-answer-worker.ts";
import { runFresh } from "./fresh-process.ts";
import type { Part } from "./part.ts";
import { tableOf } from "./section.ts";
import { inOrderOf, ratios, withInterval } from "./statistics.ts";

/** By transport and face. */
export type FirstAnswerResults = Readonly<Record<string, Readonly<Record<string, readonly FirstAnswer[]>>>>;

const CLIENT = "one client of pg";
const names = [CLIENT, ...rawFaces.map(({ name }) => name)];

export const firstAnswer: Part<FirstAnswerResults> = {
	name: "first-answer",
	measure: ({ firstAnswerRounds, transports }, progress) =>
		withServer(100, async (server) => {
			const program = new URL("./first-answer-worker.ts", import.meta.url);
			const results: Record<string, Record<string, FirstAnswer[]>> = {};
			for (const { title, url } of transports.map((transport) => server[transport])) {
				const answers: Record<string, FirstAnswer[]> = Object.fromEntries(names.map((name) => [name, []]));
				results[title] = answers;
				for (let round = 0; round < firstAnswerRounds; round++) {
					progress(`first answer: ${title}, round ${round + 1} of ${firstAnswerRounds}`);
					for (const name of inOrderOf(round, names)) {
						answers[name]?.push(await runFresh(program, [url, name === CLIENT ? "" : name]));
					}
				}
			}
			return results;
		}),
	describe(results, { firstAnswerRounds }) {
		const rows = Object.entries(results).flatMap(([place, answers]) =>
			names.map((name) => [
				`${place}: ${name}`,
				withInterval(sinceStart(answers[name]), 0),
				withInterval(answers[name]?.map(({ sinceImport }) => sinceImport) ?? [], 0),
				name === CLIENT ? "" : withInterval(ratios(sinceStart(answers[name]), sinceStart(answers[CLIENT])), 2),
			]),
		);
		const columns = ["through", "from the start, ms (95 %)", "from the first import, ms (95 %)", "times one client (95 %)"];
		return {
			title: "Cold start to the first answer",
			paragraphs: [
				`\`select 1\` in a fresh process, ${firstAnswerRounds} rounds, each in another order. The time of the start of Node is in the first column, as that of the modules, which are loaded from files that the system holds in memory.`,
			],
			tables: [tableOf("Milliseconds until the first answer is there", columns, rows)],
			charts: [firstAnswerChart(results)],
			targets: [],
		};
	},
};

function firstAnswerChart(results: FirstAnswerResults): Chart {
	return {
		name: "first-answer",
		title: "Cold start: milliseconds from the start of the process to its first answer",
		subtitle: "Node's own start and the loading of modules included; medians with their 95 % interval; less is better",
		shape: "dots",
		valueTitle: "ms",
		isLogarithmic: false,
		marks: Object.entries(results).flatMap(([place, answers]) => [
			...marksOf(place, YARDSTICK, CLIENT, sinceStart(answers[CLIENT])),
			...rawFaces.flatMap((face) => marksOf(place, faceSeries(face), face.name, sinceStart(answers[face.name]))),
		]),
	};
}

function sinceStart(answers: readonly FirstAnswer[] = []): number[] {
	return answers.map((answer) => answer.sinceStart);
}
