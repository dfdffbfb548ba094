/**
 * How fast are the pools? Times are reported, never asserted.
 *
 * `node bench/bench.ts [--only acquire|connect|queries|process-watch] [--nodes 22,24,26] [--rounds N] [--short] [--json FILE]`:
 * `--nodes` is for process-watch, which is measured on the Node that runs this otherwise.
 */
import { writeFileSync } from "node:fs";
import os from "node:os";
import process from "node:process";
import { commandLine } from "../command-line.ts";
import { table } from "../demo/table.ts";
import { supportedNodes } from "../matrix/nodes.ts";
import { acquireTargets, measureAcquire, reportAcquire } from "./acquire.ts";
import { connectTargets, measureConnect, reportConnect } from "./connect.ts";
import { type Effort, SHORT, USUAL } from "./effort.ts";
import { measureProcessWatch, ownNode, reportProcessWatch } from "./process-watch.ts";
import { measureQueries, queryTargets, reportQueries } from "./queries.ts";
import { isMet, type Target, targetRow } from "./target.ts";

const values = commandLine({
	only: { type: "string" },
	nodes: { type: "string" },
	rounds: { type: "string" },
	short: { type: "boolean", default: false },
	json: { type: "string" },
});
const { only } = values;
const parts = ["acquire", "connect", "queries", "process-watch"];
if (only !== undefined && !parts.includes(only)) throw new Error(`--only ${parts.join(" or ")}: ${only}`);
const isWanted = (part: string): boolean => only === undefined || only === part;
const effort = withRounds(values.short ? SHORT : USUAL, values.rounds);
const targets: Target[] = [];
const measured: Record<string, unknown> = {};

console.log(`node ${process.version} (V8 ${process.versions.v8}), ${machine()}\n`);
if (isWanted("acquire")) {
	const results = measureAcquire(effort, progress);
	console.log(`${reportAcquire(results, effort)}\n`);
	console.log("The bare stack's time is mostly that of the loop around it and of its await; it is in every other time too.\n");
	targets.push(...acquireTargets(results));
	measured["acquire"] = results;
}
if (isWanted("connect")) {
	const results = await measureConnect(effort, progress);
	console.log(`${reportConnect(results, effort)}\n`);
	targets.push(...connectTargets(results));
	measured["connect"] = results;
}
if (isWanted("queries")) {
	const results = await measureQueries(effort, progress);
	console.log(`${reportQueries(results, effort)}\n`);
	targets.push(...queryTargets(results));
	measured["queries"] = results;
}
if (isWanted("process-watch") && process.platform !== "linux") {
	console.log(`process watch: not measured, it needs Linux, and this is ${process.platform}\n`);
} else if (isWanted("process-watch")) {
	const nodes = values.nodes === undefined ? [ownNode] : supportedNodes(values.nodes.split(","));
	const results = measureProcessWatch(nodes, effort, progress);
	console.log(`${reportProcessWatch(results, effort)}\n`);
	measured["processWatch"] = results;
}
if (targets.length > 0) console.log(targetReport());
if (values.json !== undefined) {
	const report = { node: process.version, machine: machine(), effort, ...measured };
	writeFileSync(values.json, `${JSON.stringify(report, null, "\t")}\n`);
}

function withRounds(usual: Effort, given: string | undefined): Effort {
	if (given === undefined) return usual;
	const rounds = Number(given);
	if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error(`--rounds must be a whole number, 1 or more: ${given}`);
	return { ...usual, rounds, crowdRounds: rounds, connectRounds: rounds, coldConnectRounds: rounds };
}

function progress(text: string): void {
	if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}

function machine(): string {
	const cpus = os.cpus();
	return `${os.type()} ${os.release()} ${os.arch()}, ${cpus.length} x ${cpus[0]?.model.trim() ?? "unknown processor"}`;
}

function targetReport(): string {
	const columns = [
		{ title: "target", align: "left" },
		{ title: "is to be" },
		{ title: "is (quartiles)" },
		{ title: "" },
	] as const;
	const met = targets.filter(isMet).length;
	return `${table(columns, targets.map(targetRow))}\n\n${met} of ${targets.length} targets met; reported, not asserted`;
}
