import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inspect } from "node:util";
import { afterThisTest } from "./after-this-test.ts";

const CHANNELS = [
	...["pool:acquire", "connection:create"].flatMap((name) =>
		["start", "end", "asyncStart", "asyncEnd", "error"].map((part) => `tracing:forksafe:${name}:${part}`),
	),
	...[
		"connection:release",
		"connection:destroy",
		"connection:discard",
		"connection:leak",
		"pool:process-change",
		"pool:close",
	].map((name) => `forksafe:${name}`),
];

/** Writes down, until the end of the running test, what is printed, warned of and published, and what it is given. */
export class Eavesdropper {
	readonly #heard: string[] = [];

	constructor() {
		const onMessage = (message: unknown, name: string | symbol): void => this.hear(String(name), message);
		for (const name of CHANNELS) subscribe(name, onMessage);
		const onWarning = (warning: Error): void => this.hearError("a warning", warning);
		process.on("warning", onWarning);
		const { write } = process.stderr;
		process.stderr.write = ((chunk: unknown, ...rest: []) => {
			this.#heard.push(`stderr: ${String(chunk)}`);
			return write.call(process.stderr, chunk as string, ...rest);
		}) as typeof write;
		afterThisTest(async () => {
			for (const name of CHANNELS) unsubscribe(name, onMessage);
			process.off("warning", onWarning);
			process.stderr.write = write;
		});
	}

	/** As a logger would write it down. */
	hear(what: string, value: unknown): void {
		const shown = inspect(value, { depth: Number.POSITIVE_INFINITY, maxStringLength: null, maxArrayLength: null });
		this.#heard.push(`${what}: ${shown}`, `${what}: ${inJson(value)}`);
	}

	/** With its causes, and the stacks. */
	hearError(what: string, error: unknown): void {
		this.hear(what, error);
		for (let cause = error; cause instanceof Error; { cause } = cause)
			this.#heard.push(`${what}: ${cause.message}\n${cause.stack}`);
	}

	/** In which of what it has heard one of the words is. */
	mentions(words: readonly string[]): string[] {
		return this.#heard.filter((text) => words.some((word) => text.includes(word)));
	}

	/** How much it has heard. */
	get size(): number {
		return this.#heard.length;
	}
}

function inJson(value: unknown): string {
	try {
		return JSON.stringify(value) ?? "";
	} catch {
		return ""; // it holds itself
	}
}
