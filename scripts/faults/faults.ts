/**
 * What becomes of queries when the server, the network or the application itself has a bad night: every fault over every
 * pool, plain and forksafe, side by side.
 *
 * `faults.ts [--only NAME] [--subject NAME] [--short] [--report] [--rounds N] [--lanes N]`: `--short` leaves out what waits for 30 s or
 * more, `--report` exits with 0 also when a cell of forksafe's is not as it must be, `--rounds` plays each cell so often, of
 * which the worst counts.
 */
import { exitOnSignals } from "../command-line.ts";
import { table } from "../demo/table.ts";
import { readOptions } from "./options.ts";
import { Stage } from "./stage.ts";
import { subjects } from "./subjects.ts";
import { type Cell, cellText, judge, type Verdict } from "./verdict.ts";

exitOnSignals();
const { cells, isReport, lanes, rounds } = readOptions(process.argv.slice(2));
const start = performance.now();
const verdicts: Verdict[] = [];
console.log(`forksafe faults: Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cells.length} cells`);

// Those that take longest start first, so that all lanes end at about the same time.
const all = Array.from({ length: rounds }, () => cells).flat();
const beside = all.filter(({ scenario }) => !scenario.isQuiet);
beside.sort((a, b) => Number(b.scenario.isLong ?? false) - Number(a.scenario.isLong ?? false));
const stages = await Promise.all(Array.from({ length: lanes }, () => Stage.open()));
try {
	await Promise.all(stages.map((stage) => playAll(stage, beside)));
	const [first] = stages;
	if (first !== undefined)
		await playAll(
			first,
			all.filter(({ scenario }) => scenario.isQuiet),
		);
} finally {
	await Promise.all(stages.map((stage) => stage.close()));
}
console.log(`\n${resultTable()}\n\nfailed / hung / died / time to the first error\n`);
process.exitCode = conclude();

/** Takes cells from the list until none is left. */
async function playAll(stage: Stage, list: Cell[]): Promise<void> {
	for (let cell = list.shift(); cell !== undefined; cell = list.shift()) {
		const verdict = judge(cell, await stage.play(cell.scenario, cell.subject, cell.way));
		verdicts.push(verdict);
		const seconds = ((performance.now() - start) / 1000).toFixed(0).padStart(4);
		console.log(
			`[${seconds} s] ${verdicts.length} of ${all.length}: ${rowName(cell)}, ${cell.subject.name}: ${cellText(verdict)}`,
		);
	}
}

function resultTable(): string {
	const shown = subjects.filter((subject) => cells.some((cell) => cell.subject === subject));
	const rows = new Map<string, string[]>();
	for (const cell of cells) rows.set(rowName(cell), []);
	for (const [name, row] of rows) {
		row.push(name);
		for (const subject of shown) {
			const verdict = worst((one) => one.subject === subject && rowName(one) === name);
			row.push(verdict === undefined ? "" : cellText(verdict));
		}
	}
	return table([{ title: "scenario", align: "left" }, ...shown.map(({ name }) => ({ title: name }))], [...rows.values()]);
}

/** Of all rounds of a cell. */
function worst(isSame: (verdict: Verdict) => boolean): Verdict | undefined {
	const harm = ({ flaws, performance: { account, crash } }: Verdict): number =>
		flaws.length * 1_000_000 + (crash === undefined ? 0 : 100_000) + account.hung * 100 + account.failed;
	return verdicts.filter(isSame).sort((a, b) => harm(b) - harm(a))[0];
}

function rowName({ scenario, way: { transport, wake } }: Cell): string {
	return scenario.ways === undefined ? scenario.name : `${scenario.name} (${transport}, ${wake})`;
}

function conclude(): number {
	const ours = cells
		.filter(({ subject }) => subject.isProtected)
		.map((cell) => worst((one) => one.subject === cell.subject && rowName(one) === rowName(cell)))
		.filter((verdict) => verdict !== undefined);
	const unmet = ours.filter(({ flaws }) => flaws.length > 0);
	for (const verdict of unmet) console.log(`NOT MET: ${rowName(verdict)}, ${verdict.subject.name}: ${verdict.flaws.join("; ")}`);
	const seconds = ((performance.now() - start) / 1000).toFixed(0);
	console.log(`\n${ours.length - unmet.length} of ${ours.length} cells of forksafe are met (${seconds} s in all)`);
	return unmet.length === 0 || isReport ? 0 : 1;
}
