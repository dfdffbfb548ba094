import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface FreshProcessOptions {
	/** The Node that runs it. @default the one that runs this */
	readonly path?: string;
	/** For Node, in front of the program. */
	readonly flags?: readonly string[];
	/** Then it is killed. @default 120000 */
	readonly deadlineMillis?: number;
}

const run = promisify(execFile);
const MOST_OUTPUT = 16 * 1024 * 1024;

/**
 * Runs a program in a process of its own, in which nothing else has been compiled.
 *
 * @returns what it has written, one value in JSON
 * @throws Error with its own message when it fails, or is not done by the deadline
 */
export async function runFresh<T>(
	program: URL,
	args: readonly (string | number)[],
	{ path = process.execPath, flags = [], deadlineMillis = 120_000 }: FreshProcessOptions = {},
): Promise<T> {
	const options = { timeout: deadlineMillis, killSignal: "SIGKILL", maxBuffer: MOST_OUTPUT } as const;
	const { stdout } = await run(path, [...flags, fileURLToPath(program), ...args.map(String)], options);
	return JSON.parse(stdout);
}
