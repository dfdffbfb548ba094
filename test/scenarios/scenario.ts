import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterFork, currentGeneration, ForkSafeError, type ForkSafeErrorCode } from "@forksafe/core";
import { expect } from "chai";
import type { Face, OpenOptions, Subject } from "../faces/face.ts";
import { type Child, type ForkOptions, forkChild } from "../support/fork.ts";
import { untilTrue } from "../support/until-true.ts";

export const INHERITED: ForkSafeErrorCode = "ERR_FORKSAFE_INHERITED";
export const PROCESS_CHANGED: ForkSafeErrorCode = "ERR_FORKSAFE_PROCESS_CHANGED";

/** One way in which a fork meets a pool, and what has to be true afterwards on both sides and on the server. */
export interface Scenario {
	/** The end of the sentence "a fork ...". */
	readonly name: string;
	/** The lines of the contract (ARCHITECTURE.md) that it shows. */
	readonly contract: readonly number[];
	/** With `afterFork()` called in the child, without it, or both in turn. @default both */
	readonly hooks?: readonly boolean[];
	/** Why an unprotected pool comes through this one unharmed. Without it, every unprotected pool has to fail. */
	readonly harmless?: string;
	/** Why it cannot be run on this machine; undefined where it can. */
	notHere?(): string | undefined;
	/** Why it cannot be behind a pooler in transaction mode. What is seen there instead: integration/pgbouncer-limits.test.ts. */
	readonly unpooled?: string;
	run(context: Context): Promise<void>;
}

/** With or without the hook: as the scenario says, else `hook`, else both in turn. */
export function hooksOf({ hooks }: Scenario, hook: boolean | undefined): readonly boolean[] {
	return hooks ?? (hook === undefined ? [true, false] : [hook]);
}

interface Ending {
	end(): Promise<unknown>;
}

/** What a scenario runs with. */
export class Context {
	readonly face: Face;
	readonly url: string;
	/** Whether children call `afterFork()` first. Without it, what they do first must touch the pool. */
	readonly hook: boolean;
	/** Whether the sentinel is in use: it sees every fork, at once. */
	readonly hasSentinel = process.execArgv.some((flag) => flag.includes("sentinel"));
	readonly #opened: Ending[] = [];
	readonly #flags: Flag[] = [];

	constructor(face: Face, url: string, hook: boolean) {
		this.face = face;
		this.url = url;
		this.hook = hook;
	}

	/** A pool of the face under test; ended with the scenario. */
	open(options: Partial<OpenOptions> = {}): Subject {
		return this.ends(this.face.open({ url: this.url, max: 3, ...options }));
	}

	/** Something that the scenario has opened itself; ended with it. */
	ends<T extends Ending>(opened: T): T {
		this.#opened.push(opened);
		return opened;
	}

	fork<T>(name: string, body: () => T | Promise<T>, options?: ForkOptions): Promise<Child<T>> {
		const hooked = (): T | Promise<T> => {
			this.callHook();
			return body();
		};
		// An unprotected child hangs often.
		return forkChild(name, hooked, { deadlineMillis: this.face.isProtected ? 10_000 : 5_000, ...options });
	}

	/** What a child does first. {@link Context.fork} does it by itself. */
	callHook(): void {
		// An unprotected pool has no such call.
		if (this.hook && this.face.isProtected) afterFork();
	}

	/** A sign that one process gives another; taken down with the scenario. */
	flag(): Flag {
		const flag = new Flag();
		this.#flags.push(flag);
		return flag;
	}

	/** Ends what is still open. A pool that cannot be ended any more does not stop the next scenario. */
	async close(): Promise<void> {
		for (const flag of this.#flags) flag.lower();
		const ended = Promise.allSettled(this.#opened.map((subject) => subject.end()));
		await untilTrue(() => ended.then(() => true), { what: "all pools have ended", deadlineMillis: 3_000 });
	}
}

/** A file that all processes see. */
class Flag {
	readonly path = join(tmpdir(), `forksafe-flag-${randomUUID()}`);

	/** @param text what the other process is told with it */
	raise(text = ""): void {
		writeFileSync(`${this.path}.new`, text);
		renameSync(`${this.path}.new`, this.path);
	}

	async raised(): Promise<string> {
		await untilTrue(() => existsSync(this.path), { what: "the other process has given its sign", deadlineMillis: 8_000 });
		return readFileSync(this.path, "utf8");
	}

	lower(): void {
		rmSync(this.path, { force: true });
	}
}

/** Opens `count` connections and leaves them idle. Returns the server's names for them. */
export async function warm(subject: Subject, count: number): Promise<Set<string>> {
	const held = [];
	for (let i = 0; i < count; i++) held.push(await subject.hold());
	const backends = await Promise.all(held.map((connection) => connection.backend()));
	for (const connection of held) await connection.release();
	return new Set(backends);
}

/** Asks `count` questions, several at a time; every one has to get its own answer. */
export async function talk(subject: Subject, who: string, count = 20): Promise<void> {
	const questions = Array.from({ length: count }, (_, index) => `${who} ${index}`);
	const answers = await Promise.all(questions.map((question) => subject.echo(question)));
	expect(answers).to.deep.equal(questions);
}

/** So many queries have been sent. */
export async function inFlight(subject: Subject, count: number): Promise<void> {
	await untilTrue(() => subject.counts().used === count, { what: `${count} queries are in flight` });
	// A connection that has been idle for a while is looked at before it is handed out: two turns of the event loop.
	for (let turns = 0; turns < 3; turns++) await turn();
}

/** The parent has noticed nothing: its questions are answered, on the very connections that it had. */
export async function expectUnharmed(context: Context, subject: Subject, backends: Set<string>, generation = 0): Promise<void> {
	await talk(subject, "the parent");
	expect([...(await warm(subject, backends.size))].sort(), "connections of the parent").to.deep.equal([...backends].sort());
	expect([...(await context.face.server.sessions(context.url))], "sessions on the server").to.include.members([...backends]);
	expect(subject.counts(), "counters of the parent").to.deep.equal({ used: 0, idle: backends.size, pending: 0 });
	expect(currentGeneration(), "generation of the parent").to.equal(generation);
}

/** So often was each of these inserted. */
export async function expectTraces({ face, url }: Context, expected: Record<string, number>): Promise<void> {
	for (const [key, times] of Object.entries(expected)) {
		expect(await face.server.traces(url, key), `traces of ${key}`).to.equal(times);
	}
}

/** What became of a promise, with a handler on it in every process that inherits it. */
export function outcome<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
	return promise.then(
		(value) => ({ value }),
		(error: unknown) => ({ error }),
	);
}

/** Undoes {@link outcome}. */
export function rethrow(query: Promise<{ value: unknown } | { error: unknown }>): Promise<unknown> {
	return query.then((result) => {
		if ("error" in result) throw result.error;
		return result.value;
	});
}

/** The promise rejects with one of our errors, soon. */
export async function expectRefused(promise: Promise<unknown>, code: ForkSafeErrorCode): Promise<void> {
	const result = await soon(outcome(promise), `an error with the code ${code}`);
	expect(result, "outcome").to.have.property("error").that.is.instanceOf(ForkSafeError).with.property("code", code);
}

/** The promise, or an error that names what did not come. */
export async function soon<T>(promise: Promise<T>, what: string, deadlineMillis = 3_000): Promise<T> {
	let result: { value: T } | undefined;
	const settled = promise.then((value) => {
		result = { value };
		return true;
	});
	await untilTrue(() => settled, { what, deadlineMillis });
	return (result as unknown as { value: T }).value;
}

/** What exists once, however many processes ask. */
export function unique(name: string): string {
	return `${name}-${randomUUID()}`;
}
