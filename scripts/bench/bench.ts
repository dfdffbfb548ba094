/**
 * How fast are the pools? Times are reported, never asserted.
 *
 * `node bench/bench.ts [--only acquire,forks] [--nodes 22,24,26] [--rounds N] [--short | --publish]`: `--only` takes one part or
 * several, `--nodes` is for process-watch, which is measured on the Node that runs this otherwise. `--publish` keeps what was
 * measured for `bench-report`: each part takes the place of its former self.
 */
import process from "node:process";
import { commandLine } from "../command-line.ts";
import { supportedNodes } from "../matrix/nodes.ts";
import { type Effort, SHORT, USUAL, withRounds } from "./effort.ts";
import { describeMachine, machineLine } from "./machine.ts";
import type { Part } from "./part.ts";
import { partsOn } from "./parts.ts";
import { ownNode } from "./process-watch.ts";
import { mergeRecord, type PartRecord, PUBLISHED } from "./records.ts";
import { asText, tablesAsText } from "./section.ts";
import { type Target, targetTable } from "./target.ts";

const values = commandLine({
	only: { type: "string" },
	nodes: { type: "string" },
	rounds: { type: "string" },
	short: { type: "boolean", default: false },
	publish: { type: "boolean", default: false },
});
if (values.short && values.publish) throw new Error("--publish is not for what --short measures");
const nodes = values.nodes === undefined ? [ownNode] : supportedNodes(values.nodes.split(","));
const effort = effortOf(values.rounds);
const targets: Target[] = [];
const machine = await describeMachine();
console.log(`${machineLine(machine)}\n`);
for (const part of wantedParts(partsOn(nodes), values.only?.split(","))) {
	const at = new Date();
	const results = await part.measure(effort, progress);
	const seconds = Math.round((Date.now() - at.getTime()) / 1_000);
	const section = part.describe(results, effort);
	targets.push(...section.targets);
	console.log(`${asText(section)}\n\n(${part.name}: ${seconds} s)\n`);
	const command = `npx -y pnpm@12 bench ${process.argv
		.slice(2)
		.filter((arg) => arg !== "--")
		.join(" ")}`.trim();
	const record: PartRecord = { part: part.name, at: at.toISOString(), seconds, command, machine, effort, results };
	// One after another: what was measured is not lost when a later part fails.
	if (values.publish) mergeRecord(PUBLISHED, record);
}
if (targets.length > 0) console.log(tablesAsText([targetTable(targets)]));

function effortOf(given: string | undefined): Effort {
	const effort = values.short ? SHORT : USUAL;
	if (given === undefined) return effort;
	const rounds = Number(given);
	if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error(`--rounds must be a whole number, 1 or more: ${given}`);
	return withRounds(effort, rounds);
}

function wantedParts(parts: readonly Part<unknown>[], only: readonly string[] | undefined): readonly Part<unknown>[] {
	const names = parts.map(({ name }) => name);
	const unknown = only?.filter((name) => !names.includes(name)) ?? [];
	if (unknown.length > 0) throw new Error(`--only ${unknown.join(",")}: must be of ${names.join(", ")}`);
	return only === undefined ? parts : parts.filter(({ name }) => only.includes(name));
}

function progress(text: string): void {
	if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}
