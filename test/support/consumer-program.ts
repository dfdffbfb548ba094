/**
 * What a program over a library that takes a Pool of pg does, with the arguments `OURS|PLAIN hook|no-hook`: it forks while a
 * transaction is open, queries are in flight and others wait for a connection, and lets parent and child work at the same
 * time. The child then ends the library, while the parent goes on.
 */
import { randomUUID } from "node:crypto";
import process from "node:process";
import { afterFork } from "@forksafe/core";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import pLimit from "p-limit";
import pg from "pg";
import { ask } from "../faces/postgres-view.ts";
import { outcome, rethrow, soon } from "../scenarios/scenario.ts";
import { type Application, type Consumer, type Given, type Refusals, type Verdict, type Work, WRITTEN } from "./consumer.ts";
import { forkChild } from "./fork.ts";
import { rejection } from "./promises.ts";
import { report } from "./report.ts";
import { untilTrue } from "./until-true.ts";

const MAX = 3;
const SLEEP_MILLIS = 1_500;
const WAITING = 3;
const ECHOES = 50;
const ROUNDS = 10;

const [whose, hook] = process.argv.slice(2);
const isOurs = whose === "OURS";
/** For a step. Without forksafe, many hang. */
const deadlineMillis = isOurs ? 20_000 : 5_000;
const { DATABASE_URL: url = "" } = process.env;
/** Begins every key of this run, and is the name of its sessions. */
const run = `consumer-${randomUUID()}`;

/** Runs the whole program over one library, reports a {@link Verdict}, and ends the process. */
export async function runConsumer(consumer: Consumer): Promise<never> {
	const application = await consumer.open(given());
	const forked = new Forked(application, consumer);
	await forked.begin();
	if (!isOurs) {
		// Two copies of one connection can also confuse pg's parser, far from every promise.
		process.once("uncaughtException", (error) => end({ harm: `uncaught: ${error.message}` }));
	}
	return end(
		await forked.run().then(
			(refused) => ({ refused }),
			(error: unknown) => ({ harm: String(error) }),
		),
	);
}

function end(verdict: Verdict): never {
	report(verdict);
	process.exit();
}

function given(): Given {
	const options = { connectionString: url, application_name: run, max: MAX, idleTimeoutMillis: 60_000 };
	const TheirPool = isOurs ? Pool : pg.Pool;
	return { isOurs, Pool: TheirPool, options, openPool: () => new TheirPool(options).on("error", () => {}) };
}

class Forked {
	readonly #application: Application;
	readonly #written: string;
	readonly #goOn = Promise.withResolvers<void>();
	/** What is under way at the fork. */
	#open: ReturnType<typeof outcome<void>> | undefined;
	#inFlight: ReturnType<typeof outcome<void>>[] = [];
	#waiting: ReturnType<typeof outcome<void>>[] = [];

	constructor(application: Application, { written = WRITTEN }: Consumer) {
		this.#application = application;
		this.#written = written;
	}

	/** Has all connections in use, one of them in a transaction where the library has such. */
	async begin(): Promise<void> {
		if (this.#application.transaction) await this.#beginTransaction();
		while (this.#inFlight.length < (this.#open ? MAX - 1 : MAX)) {
			this.#inFlight.push(outcome(this.#application.sleep(SLEEP_MILLIS)));
		}
		await untilTrue(async () => (await sleeping()) === this.#inFlight.length, { what: "the queries are in flight" });
		while (this.#waiting.length < WAITING) {
			this.#waiting.push(outcome(this.#application.insert(`${run} waited ${this.#waiting.length}`)));
		}
	}

	/** Throws for whatever goes otherwise than in a process that is never forked. */
	async run(): Promise<Refusals | undefined> {
		const sessions = await sessionsOf();
		const child = await forkChild("child", () => this.#inChild(sessions), { deadlineMillis: 2 * deadlineMillis });

		this.#goOn.resolve();
		await soon(work(this.#application, "parent"), "the parent's work", deadlineMillis);
		for (const begun of [this.#open, ...this.#inFlight, ...this.#waiting]) {
			if (begun) await soon(rethrow(begun), "the end of what the parent had begun", deadlineMillis);
		}
		const refused = await child.result;

		expect(await sessionsOf(), "sessions of the parent").to.deep.equal(sessions);
		const rows = await ask<{ key: string }>(url, this.#written, [run]);
		expect(rows.map(({ key }) => key.slice(run.length + 1)).sort()).to.deep.equal(this.#expected());
		await soon(this.#application.end(), "the end of the library in the parent", deadlineMillis);
		await untilTrue(async () => (await sessionsOf()).length === 0, { what: "the sessions have ended" });
		return refused;
	}

	/** One that has written something, and goes on when it is told to: in the parent, it is committed. */
	async #beginTransaction(): Promise<void> {
		const begun = Promise.withResolvers<void>();
		const open = this.#application.transaction?.(async (within) => {
			await within.insert(`${run} open`);
			begun.resolve();
			await this.#goOn.promise;
			await echoes(within, "in the open transaction", 5, 1);
			await within.insert(`${run} open, later`);
		});
		open?.catch(begun.reject);
		this.#open = open && outcome(open);
		await begun.promise;
	}

	async #inChild(sessions: readonly number[]): Promise<Refusals | undefined> {
		if (hook === "hook" && isOurs) afterFork();
		// This touches the pool: without `afterFork()`, nothing is noticed before.
		const backend = await soon(this.#application.backend(), "the child's first answer", deadlineMillis);
		this.#goOn.resolve();
		const refused = isOurs ? await this.#refusals() : undefined;
		await soon(work(this.#application, "child"), "the child's work", deadlineMillis);
		await soon(this.#application.end(), "the end of the library in the child", deadlineMillis);
		expect(sessions, "sessions of the parent").not.to.include(backend);
		return refused;
	}

	async #refusals(): Promise<Refusals> {
		const [inFlight, waiting] = await Promise.all([toldOf(this.#inFlight), toldOf(this.#waiting)]);
		return { inFlight, waiting, ...(this.#open && { open: await toldOf([this.#open]) }) };
	}

	#expected(): string[] {
		const before = Array.from({ length: WAITING }, (_, index) => `waited ${index}`);
		if (this.#open) before.push("open", "open, later");
		return [...before, ...["child", "parent"].flatMap((who) => keysOf(who))].sort();
	}
}

/** What one of the processes does. Every answer has to be its own. */
async function work(application: Application, who: string): Promise<void> {
	await Promise.all([echoes(application, who, ECHOES, 5), rounds(application, who)]);
}

async function echoes(within: Work, who: string, count: number, atATime: number): Promise<void> {
	const someAtATime = pLimit(atATime);
	const questions = Array.from({ length: count }, (_, index) => `${who} ${index}`);
	const answers = await Promise.all(questions.map((question) => someAtATime(() => within.echo(question))));
	expect(answers).to.deep.equal(questions);
}

/** Inserts and looks, in transactions of which every other one is rolled back. */
async function rounds(application: Application, who: string): Promise<void> {
	for (let round = 0; round < ROUNDS; round++) {
		const key = `${run} ${who} ${round}`;
		if (application.transaction === undefined) {
			await insert(application, key);
			continue;
		}
		await application.transaction((within) => insert(within, key));
		const failure = new Error(`${key} is undone`);
		const undone = application.transaction(async (within) => {
			await insert(within, failure.message);
			throw failure;
		});
		expect(await rejection(undone)).to.equal(failure);
		expect(await application.has(failure.message), failure.message).to.equal(false);
	}
}

async function insert(within: Work, key: string): Promise<void> {
	await within.insert(key);
	expect(await within.has(key), key).to.equal(true);
}

function keysOf(who: string): string[] {
	return Array.from({ length: ROUNDS }, (_, round) => `${who} ${round}`);
}

/** The classes and codes of an error and of its causes, the same for all of these promises. */
async function toldOf(promises: ReturnType<typeof outcome<void>>[]): Promise<string> {
	const told = new Set<string>();
	for (const promise of promises) {
		const result = await soon(promise, "the refusal of what was inherited");
		told.add("error" in result ? chainOf(result.error) : "nothing");
	}
	return [...told].join(" | ");
}

function chainOf(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	const code = "code" in error ? ` ${String(error.code)}` : "";
	const below = error.cause === undefined ? "" : ` < ${chainOf(error.cause)}`;
	return `${error.constructor.name}${code}${below}`;
}

/** The server's pids of the connections of this run. */
async function sessionsOf(): Promise<number[]> {
	const rows = await ask<{ pid: number }>(url, "select pid from pg_stat_activity where application_name = $1 order by pid", [
		run,
	]);
	return rows.map(({ pid }) => pid);
}

async function sleeping(): Promise<number> {
	const rows = await ask(
		url,
		"select from pg_stat_activity where application_name = $1 and state = 'active' and query like '%pg_sleep%'",
		[run],
	);
	return rows.length;
}
