import { randomUUID } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What became of a child's body. */
export type Outcome = { readonly value?: unknown } | { readonly error: WireError };

/** An error in a form that crosses a process boundary. */
export interface WireError {
	readonly name: string;
	readonly message: string;
	readonly code?: string;
	readonly stack?: string;
	readonly cause?: WireError;
}

/** Makes an error, or whatever else was thrown, ready to cross. */
export function toWire(thrown: unknown): WireError {
	if (!(thrown instanceof Error)) return { name: "NonError", message: String(thrown) };
	const { name, message, stack, cause } = thrown;
	const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
	return {
		name,
		message,
		...(code !== undefined && { code }),
		...(stack !== undefined && { stack }),
		...(cause !== undefined && { cause: toWire(cause) }),
	};
}

/** An error again, with the name, code, message and stack of the one that was thrown. */
export function fromWire({ message, cause, ...own }: WireError): Error {
	const error = new Error(message, cause && { cause: fromWire(cause) });
	return Object.assign(error, own);
}

/**
 * Carries one {@link Outcome} over a fork: a file that parent and child both hold open and that has no name, so that
 * nothing is left behind however either of them ends.
 */
export class OutcomeFile {
	readonly #fd: number;
	#written = false;

	constructor() {
		const path = join(tmpdir(), `forksafe-${randomUUID()}`);
		this.#fd = openSync(path, "wx+", 0o600);
		unlinkSync(path);
	}

	/** Only the first outcome counts. Returns whether this was it. */
	write(outcome: Outcome): boolean {
		if (this.#written) return false;
		const bytes = Buffer.from(JSON.stringify(outcome));
		for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at, at);
		this.#written = true;
		return true;
	}

	/** Reads what the child wrote, if it came to that, and closes the file. To be called when the child has gone. */
	take(): Outcome | undefined {
		const bytes = Buffer.alloc(fstatSync(this.#fd).size);
		readSync(this.#fd, bytes, 0, bytes.length, 0);
		closeSync(this.#fd);
		try {
			return JSON.parse(bytes.toString()) as Outcome;
		} catch {
			// Nothing there, or the child died while it wrote.
			return undefined;
		}
	}
}
