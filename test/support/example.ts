import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ask } from "../faces/postgres-view.ts";
import { afterThisTest } from "./after-this-test.ts";
import { BoundedOutput } from "./bounded-output.ts";
import { postgresUrl } from "./server-urls.ts";
import { untilTrue } from "./until-true.ts";

/** Options of {@link startExample}. */
export interface ExampleOptions {
	/** Takes the place of the examples' `shutdown.ts` in all its processes and threads. */
	readonly withoutShutdown?: boolean;
	readonly args?: readonly string[];
	readonly env?: Readonly<Record<string, string>>;
}

/** How a process has ended, and when. */
export interface Ending {
	readonly exitCode: number | undefined;
	readonly signal: NodeJS.Signals | undefined;
	/** From the last signal that was sent to it; from its start, if there was none. */
	readonly millis: number;
}

/** An example that runs in processes of its own, and whose sessions the server knows by a name of their own. */
export interface RunningExample {
	readonly ended: Promise<Ending>;
	/** What all its processes have written. */
	output(): string;
	/** Waits until it has written something like this. */
	said(pattern: RegExp): Promise<RegExpExecArray>;
	/** To the process that was started, and to no child of it. */
	kill(signal: NodeJS.Signals): void;
	/** To the process and to all its children, as Ctrl-C does, and systemd. */
	killAll(signal: NodeJS.Signals): void;
	/** Waits until the server has none of its sessions. */
	leftNothing(): Promise<void>;
}

/** Starts it with the server of this test run. What is left of it when the test ends is killed. */
export function startExample(url: URL, options: ExampleOptions = {}): RunningExample {
	const applicationName = `example-${crypto.randomUUID()}`;
	const program = spawn(process.execPath, [fileURLToPath(url), ...(options.args ?? [])], {
		detached: true,
		env: { ...process.env, ...exampleEnvironment(applicationName, options), ...options.env },
		stdio: ["ignore", "pipe", "pipe"],
	});
	let since = performance.now();
	const output = new BoundedOutput(64 * 1024);
	program.stdout.on("data", (chunk: Buffer) => output.add(chunk));
	program.stderr.on("data", (chunk: Buffer) => output.add(chunk));
	const ended = new Promise<Ending>((resolve, reject) => {
		program.once("error", reject);
		program.once("exit", (exitCode, signal) => {
			resolve({ exitCode: exitCode ?? undefined, signal: signal ?? undefined, millis: performance.now() - since });
		});
	});
	const killGroup = (): void => killAll(program.pid, "SIGKILL");
	process.once("exit", killGroup);
	afterThisTest(async () => {
		killGroup();
		await ended;
		process.removeListener("exit", killGroup);
	});
	return {
		ended,
		output: () => output.toString(),
		async said(pattern) {
			const found = (): RegExpExecArray | null => pattern.exec(output.toString());
			await untilTrue(() => found() !== null, { what: `the example says ${pattern}`, deadlineMillis }).catch((error: Error) => {
				throw new Error(`${error.message}\n${output.toString()}`);
			});
			return found() as RegExpExecArray;
		},
		kill(signal) {
			since = performance.now();
			program.kill(signal);
		},
		killAll(signal) {
			since = performance.now();
			killAll(program.pid, signal);
		},
		async leftNothing() {
			await untilNoSession(applicationName);
		},
	};
}

/** Starts of many processes on a busy machine. */
const deadlineMillis = 100_000;
const withoutShutdown = new URL("./without-shutdown.ts", import.meta.url);
const compileCache = mkdtempSync(join(tmpdir(), "forksafe-examples-"));
process.once("exit", () => rmSync(compileCache, { recursive: true, force: true }));

/** What Node, and all that it starts, has to be told. */
export function exampleEnvironment(applicationName: string, options: ExampleOptions): Record<string, string> {
	const url = new URL(postgresUrl("TCP") ?? "");
	url.searchParams.set("application_name", applicationName);
	const { NODE_OPTIONS: ours = "" } = process.env;
	const flags = [ours, "--conditions=@forksafe/source"];
	if (options.withoutShutdown) flags.push(`--import=${withoutShutdown.href}`);
	return {
		DATABASE_URL: url.href,
		NODE_OPTIONS: flags.join(" "),
		// Fifteen workers load the same.
		NODE_COMPILE_CACHE: compileCache,
		PORT: "0",
	};
}

/** Waits until the server has no session of this name. */
export async function untilNoSession(applicationName: string): Promise<void> {
	const isEmpty = async (): Promise<boolean> => {
		const [row] = await ask<{ n: number }>(
			postgresUrl("TCP") ?? "",
			"select count(*)::int as n from pg_stat_activity where application_name = $1",
			[applicationName],
		);
		return row?.n === 0;
	};
	await untilTrue(isEmpty, { what: "no session is left" });
}

function killAll(pid: number | undefined, signal: NodeJS.Signals): void {
	if (pid === undefined) return;
	try {
		process.kill(-pid, signal);
	} catch {
		// Nobody is left in it.
	}
}
