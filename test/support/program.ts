import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { BoundedOutput } from "./bounded-output.ts";
import { forkableFlags } from "./posix-fork.ts";
import { type Report, reportsVariable } from "./report.ts";

/** Options of {@link runProgram}. */
export interface ProgramOptions {
	/** From the start to the end of the program; then it and all its children are killed. */
	readonly deadlineMillis: number;
	readonly args?: readonly string[];
	/** Added to this process's environment; undefined takes a variable away. */
	readonly env?: Readonly<Record<string, string | undefined>>;
	/** Flags for Node, in front of the program. */
	readonly nodeArgs?: readonly string[];
	/** A command in front of Node, which becomes or starts it: `unshare --pid --fork`. */
	readonly within?: readonly string[];
	/** Called with each report soon after it was sent. */
	readonly onReport?: (report: Report) => void;
}

/** How a program went. */
export interface ProgramResult {
	/** Everything that the program and its forked children reported, in the order in which it was sent. */
	readonly reports: readonly Report[];
	readonly exitCode: number | undefined;
	readonly signal: NodeJS.Signals | undefined;
	/** stdout and stderr of all its processes; of a long output the head and the tail. */
	readonly output: string;
	readonly timedOut: boolean;
}

/**
 * Runs a TypeScript program that may fork, in a process group of its own, and collects what it reports. When this
 * resolves, every process of the group has gone.
 *
 * @throws Error when Node cannot be started. How the program ends is in the result.
 */
export async function runProgram(url: URL | string, options: ProgramOptions): Promise<ProgramResult> {
	const directory = mkdtempSync(join(tmpdir(), "forksafe-program-"));
	const log = new ReportLog(join(directory, "reports"), options.onReport);
	try {
		return await follow(start(url, log.path, options), log, options.deadlineMillis);
	} finally {
		log.close();
		rmSync(directory, { recursive: true, force: true });
	}
}

function start(
	url: URL | string,
	reports: string,
	{ args = [], env = {}, nodeArgs = [], within = [] }: ProgramOptions,
): ChildProcess {
	const path = url instanceof URL || url.startsWith("file:") ? fileURLToPath(url) : url;
	const flags = [...forkableFlags, "--enable-source-maps", "--conditions=@forksafe/source"];
	const [command, ...rest] = [...within, process.execPath, ...flags, ...nodeArgs, path, ...args];
	return spawn(command as string, rest, {
		detached: true,
		env: { ...process.env, ...env, [reportsVariable]: reports },
		stdio: ["ignore", "pipe", "pipe"],
	});
}

async function follow(program: ChildProcess, log: ReportLog, deadlineMillis: number): Promise<ProgramResult> {
	const output = new BoundedOutput(64 * 1024);
	program.stdout?.on("data", (chunk: Buffer) => output.add(chunk));
	program.stderr?.on("data", (chunk: Buffer) => output.add(chunk));

	let timedOut = false;
	const deadline = setTimeout(() => {
		timedOut = true;
		killGroup(program);
	}, deadlineMillis);
	const streaming = setInterval(() => log.read(), streamingMillis);
	const killWithUs = () => killGroup(program);
	process.once("exit", killWithUs);
	try {
		const closed = once(program, "close");
		await Promise.race([once(program, "exit"), failure(program)]);
		// Children that outlived it hold its output open: "close" tells that the last of them has gone.
		killGroup(program);
		await Promise.race([closed, delay(closeMillis, undefined, { ref: false })]);
	} finally {
		clearTimeout(deadline);
		clearInterval(streaming);
		process.removeListener("exit", killWithUs);
		program.stdout?.destroy();
		program.stderr?.destroy();
	}
	log.read();
	return {
		reports: log.reports,
		exitCode: program.exitCode ?? undefined,
		signal: program.signalCode ?? undefined,
		output: output.toString(),
		timedOut,
	};
}

const streamingMillis = 10;
const closeMillis = 5_000;

function once(program: ChildProcess, event: "exit" | "close"): Promise<void> {
	return new Promise((resolve) => void program.once(event, () => resolve()));
}

function failure(program: ChildProcess): Promise<never> {
	return new Promise((_, reject) => void program.once("error", reject));
}

function killGroup({ pid }: ChildProcess): void {
	if (pid === undefined) return;
	try {
		process.kill(-pid, "SIGKILL");
	} catch {
		// Nobody is left in it.
	}
}

/** The file that the processes of a program append their reports to, read while it grows. */
class ReportLog {
	readonly path: string;
	readonly reports: Report[] = [];
	readonly #fd: number;
	readonly #onReport: ((report: Report) => void) | undefined;
	#position = 0;
	#rest = Buffer.alloc(0);

	constructor(path: string, onReport: ((report: Report) => void) | undefined) {
		this.path = path;
		this.#fd = openSync(path, "wx+", 0o600);
		this.#onReport = onReport;
	}

	/** Takes what is new. A line that is not whole yet waits for the next read. */
	read(): void {
		const chunk = Buffer.alloc(64 * 1024);
		for (;;) {
			const length = readSync(this.#fd, chunk, 0, chunk.length, this.#position);
			if (length === 0) return;
			this.#position += length;
			this.#rest = Buffer.concat([this.#rest, chunk.subarray(0, length)]);
			this.#takeLines();
		}
	}

	close(): void {
		closeSync(this.#fd);
	}

	#takeLines(): void {
		for (let end = this.#rest.indexOf("\n"); end >= 0; end = this.#rest.indexOf("\n")) {
			const line = JSON.parse(this.#rest.subarray(0, end).toString()) as Report;
			this.#rest = this.#rest.subarray(end + 1);
			this.reports.push(line);
			this.#onReport?.(line);
		}
	}
}
