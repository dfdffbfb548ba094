/** The tests of one package on one Node. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { BoundedOutput } from "../../test/support/bounded-output.ts";
import type { TestReport } from "../../test/support/reporter.ts";
import type { SupportedNode } from "./nodes.ts";

/** Which of a package's tests. */
export interface Selection {
	/** By their titles; undefined for all. */
	readonly grep?: string | undefined;
	/** Of the scenarios those through these faces only, by their names. */
	readonly faces?: readonly string[];
}

/** How it went. */
export interface PackageRun {
	readonly node: SupportedNode;
	readonly name: string;
	readonly passed: number;
	readonly failed: number;
	readonly skipped: number;
	readonly seconds: number;
	/** Why this run does not count as good. */
	readonly problem: string | undefined;
}

const root = fileURLToPath(new URL("../../", import.meta.url));
const ours = fileURLToPath(new URL(".", import.meta.url));
const DEADLINE_MILLIS = 1_800_000;
const OUTPUT_LENGTH = 256 * 1024;

/**
 * The packages of the workspace that have tests.
 *
 * @param wanted by name, with or without scope; none for all
 * @throws Error when there is none of that name
 */
export function testedPackages(wanted: readonly string[]): string[] {
	const plan = execFileSync("turbo", ["run", "test", "--dry=json"], {
		cwd: root,
		encoding: "utf8",
		stdio: ["ignore", "pipe", "ignore"],
	});
	const { tasks } = JSON.parse(plan) as { tasks: { task: string; package: string; command: string }[] };
	const tested = tasks.filter(({ task, command }) => task === "test" && command !== "<NONEXISTENT>").map((task) => task.package);
	const found = wanted.map((name) => {
		const match = tested.find((one) => one === name || one === `@forksafe/${name}`);
		if (match === undefined) throw new Error(`--only must be ${tested.join(" or ")}: ${name}`);
		return match;
	});
	return found.length === 0 ? tested : found;
}

/** Runs its test command. What it has printed is shown when it fails. */
export async function runPackage(name: string, node: SupportedNode, { grep = "", faces = [] }: Selection): Promise<PackageRun> {
	const reports = mkdtempSync(join(tmpdir(), "forksafe-matrix-"));
	const start = performance.now();
	try {
		const args = ["run", "test", `--filter=${name}`, "--env-mode=loose"];
		const turbo = spawn("turbo", args, {
			cwd: root,
			stdio: ["ignore", "pipe", "pipe"],
			timeout: DEADLINE_MILLIS,
			env: {
				...process.env,
				TURBO_TELEMETRY_DISABLED: "1",
				FORKSAFE_TEST_REPORTS: reports,
				FORKSAFE_FACES: faces.join(","),
				FORKSAFE_MATRIX_PATH: [join(ours, "bin"), node.directory].join(delimiter),
				FORKSAFE_MATRIX_NODE_OPTIONS: node.flags.join(" "),
				FORKSAFE_MATRIX_GREP: grep,
				pnpm_config_script_shell: join(ours, "shell"),
			},
		});
		// It ends what it has started.
		const stop = (): void => void turbo.kill();
		process.once("exit", stop);
		const output = new BoundedOutput(OUTPUT_LENGTH);
		turbo.stdout.on("data", (chunk: Buffer) => output.add(chunk));
		turbo.stderr.on("data", (chunk: Buffer) => output.add(chunk));
		const [code] = (await once(turbo, "close")) as [number | null];
		process.off("exit", stop);
		const seconds = (performance.now() - start) / 1000;
		const run = judge(node, name, seconds, code, readReports(reports));
		if (run.problem !== undefined) console.log(output.toString());
		return run;
	} finally {
		rmSync(reports, { recursive: true, force: true });
	}
}

function readReports(directory: string): TestReport[] {
	return readdirSync(directory).map((file) => JSON.parse(readFileSync(join(directory, file), "utf8")));
}

function judge(node: SupportedNode, name: string, seconds: number, code: number | null, reports: TestReport[]): PackageRun {
	const sum = (key: "passes" | "failures" | "pending"): number => reports.reduce((total, { stats }) => total + stats[key], 0);
	const [passed, failed, skipped] = [sum("passes"), sum("failures"), sum("pending")];
	const other = reports.find((report) => report.node !== `v${node.version}`);
	return { node, name, passed, failed, skipped, seconds, problem: problemOf() };

	function problemOf(): string | undefined {
		if (other !== undefined) return `ran on Node ${other.node}`;
		if (failed > 0) return `${failed} failed`;
		if (code !== 0) return code === null ? "killed" : `exit code ${code}`;
		// One that crashes before its first test has none either.
		return passed === 0 ? "no test has run" : undefined;
	}
}
