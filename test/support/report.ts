import { appendFileSync } from "node:fs";
import type { Outcome, WireError } from "./outcome.ts";
import { getpid } from "./posix-fork.ts";

/** One line from a program to its runner. */
export type Report = {
	/** `"program"`, or the name of the forked child; a child of a child is `"parent/child"`. */
	readonly process: string;
	/** The true pid. */
	readonly pid: number;
} & (
	| { readonly kind: "report"; readonly value?: unknown }
	| { readonly kind: "result"; readonly value?: unknown }
	| { readonly kind: "error"; readonly error: WireError }
);

/** The environment variable with the path of the file that reports are appended to. */
export const reportsVariable = "FORKSAFE_REPORTS";

/** Sends a value that JSON can hold to the runner; without one, it is printed. */
export function report(value: unknown): void {
	send({ process: processName, pid: getpid(), kind: "report", value });
}

/** Sends what became of a process: this one, unless another is named. */
export function reportOutcome(outcome: Outcome, { name = processName, pid = getpid() } = {}): void {
	const of = { process: name, pid };
	send("error" in outcome ? { ...of, kind: "error", ...outcome } : { ...of, kind: "result", ...outcome });
}

/** In a forked child: what its reports are to be signed with. */
export function nameProcess(name: string): void {
	processName = name;
}

/** The name that this process signs with, as a prefix for a child's. */
export function childName(name: string): string {
	return processName === programName ? name : `${processName}/${name}`;
}

const programName = "program";
let processName = programName;

function send(line: Report): void {
	const text = `${JSON.stringify(line)}\n`;
	const path = process.env[reportsVariable];
	// An append to a regular file is whole, at any length and from any number of processes; to a pipe it is not.
	if (path) appendFileSync(path, text);
	else process.stdout.write(text);
}
