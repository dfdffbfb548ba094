import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inspect } from "node:util";
import * as channels from "../../packages/core/src/channels.ts";
import { afterThisTest } from "./after-this-test.ts";

/** All that core has: a tracing channel is five of them. */
const names = Object.values(channels).flatMap((channel) =>
	"asyncStart" in channel
		? [channel.start, channel.end, channel.asyncStart, channel.asyncEnd, channel.error].map(({ name }) => name)
		: [channel.name],
);

/** Writes down, until the end of the running test, what is printed, warned of and published, and what it is given. */
export class Eavesdropper {
	readonly #heard: string[] = [];

	constructor() {
		const onMessage = (message: unknown, name: string | symbol): void => this.hear(String(name), message);
		for (const name of names) subscribe(name, onMessage);
		const onWarning = (warning: Error): void => this.hearError("a warning", warning);
		process.on("warning", onWarning);
		const { write } = process.stderr;
		process.stderr.write = ((chunk: unknown, ...rest: []) => {
			this.#heard.push(`stderr: ${String(chunk)}`);
			return write.call(process.stderr, chunk as string, ...rest);
		}) as typeof write;
		afterThisTest(async () => {
			for (const name of names) unsubscribe(name, onMessage);
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
