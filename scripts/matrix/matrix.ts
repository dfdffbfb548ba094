/**
 * The tests of every package on every Node that is supported: `turbo run test`, package by package.
 *
 * `node matrix/matrix.ts [--node NAME]... [--only PACKAGE]... [--grep PATTERN] [--short]`: `--node 22` and `--only core` can be given
 * several times, `--grep` chooses tests by their titles. `--short` is for CI: the oldest and the newest Node; core, pg and the sentinel
 * in full; of the rest the contract through pg's Pool, and the packed packages. The exit code is 1 when anything has failed.
 */
import process from "node:process";
import { commandLine } from "../command-line.ts";
import { table } from "../demo/table.ts";
import { supportedNodes } from "./nodes.ts";
import { type PackageRun, runPackage, type Selection, testedPackages } from "./package-run.ts";

const SHORT = { node: ["22.13", "26"], only: ["core", "sentinel", "test"] };
const SHORT_OF_TEST: Selection = { grep: "^(a fork through|the packed packages)", faces: ["pg Pool"] };

const values = commandLine({
	node: { type: "string", multiple: true },
	only: { type: "string", multiple: true },
	grep: { type: "string" },
	short: { type: "boolean", default: false },
});
const { grep, short, node: nodeNames = short ? SHORT.node : [], only = short ? SHORT.only : [] } = values;
const packages = testedPackages(only);
const runs: PackageRun[] = [];
for (const node of supportedNodes(nodeNames)) {
	for (const name of packages) {
		const selection = short && grep === undefined && name === "@forksafe/test" ? SHORT_OF_TEST : { grep };
		const run = await runPackage(name, node, selection);
		console.log(`Node ${node.version}, ${name}: ${run.problem ?? `${run.passed} passed`}, ${run.seconds.toFixed(0)} s`);
		runs.push(run);
	}
}
console.log(`\n${report()}`);
process.exitCode = runs.every(({ problem }) => problem === undefined) ? 0 : 1;

function report(): string {
	const columns = [
		{ title: "Node", align: "left" },
		{ title: "package", align: "left" },
		{ title: "passed" },
		{ title: "failed" },
		{ title: "skipped" },
		{ title: "seconds" },
		{ title: "", align: "left" },
	] as const;
	return table(
		columns,
		runs.map(({ node, name, passed, failed, skipped, seconds, problem }) => [
			node.version,
			name,
			...[passed, failed, skipped].map(String),
			seconds.toFixed(0),
			problem === undefined ? "" : `FAILED: ${problem}`,
		]),
	);
}
