/**
 * What a program over a library that takes a Pool of pg does, with the argument `OURS` or `PLAIN`: it forks two children while
 * a transaction is open, queries are in flight and others wait for a connection. One of them calls `afterFork()`. All three
 * work at the same time; the children then end the library, while the parent goes on.
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
/** So long, a program that was just seen to sleep has to fork. */
const SLEEP_MILLIS = 2_000;
const WAITING = 3;
const ECHOES = 50;
const ROUNDS = 10;

const CHILDREN = ["hook", "no-hook"] as const;

const isOurs = process.argv[2] === "OURS";
/** For a step. Without forksafe, many hang. */
const deadlineMillis = isOurs ? 20_000 : 5_000;
const { DATABASE_URL: url = "" } = process.env;
/** Begins every key of this run, and is the name of its sessions. */
const run = `consumer-${randomUUID()}`;

/** Runs the whole program over one library, reports a {@link Verdict}, and ends the process. */
export async function runConsumer(consumer: Consumer): Promise<never> {
	const application = await consumer.open(given());
	const forked = new Forked(application, consumer);
	const made = await whatItMakes(application);
	await forked.begin();
	if (!isOurs) {
		// Two copies of one connection can also confuse pg's parser, far from every promise.
		process.once("uncaughtException", (error) => end({ ...made, harm: `uncaught: ${error.message}` }));
	}
	return end(
		await forked.run().then(
			(refused) => ({ ...made, refused }),
			(error: unknown) => ({ ...made, harm: String(error) }),
		),
	);
}

async function whatItMakes({ values, fail }: Application): Promise<Pick<Verdict, "values" | "error">> {
	return { ...(values && { values: await values() }), ...(fail && { error: chainOf(await rejection(fail())) }) };
}

function end(verdict: Verdict): never {
	report(verdict);
	process.exit();
}

function given(): Given {
	const options = { connectionString: url, application_name: run, max: MAX, idleTimeoutMillis: 60_000 };
	const TheirPool = isOurs ? Pool : pg.Pool;
	return {
		isOurs,
		Pool: TheirPool,
		options,
		openPool: (others) => new TheirPool({ ...options, ...others }).on("error", () => {}),
	};
}

class Forked {
	readonly #application: Application;
	readonly #written: string;
	readonly #goOn = Promise.withResolvers<void>();
	/** The server's pids of the connections, and what is under way on them and for them, at the fork. */
	#sessions: number[] = [];
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
		await untilTrue(async () => (await this.#sleeping()) === this.#inFlight.length, {
			what: "all connections are in use",
			deadlineMillis,
		});
		while (this.#waiting.length < WAITING) {
			this.#waiting.push(outcome(this.#application.insert(`${run} waited ${this.#waiting.length}`)));
		}
		// Before that, a library is still on its way to the pool, and in a child it would go on.
		const { pool } = this.#application;
		await untilTrue(() => pool.waitingCount === WAITING, { what: "the inserts wait for a connection", deadlineMillis });
		expect(await this.#sleeping(), "queries in flight").to.equal(this.#inFlight.length);
	}

	/** Throws for whatever goes otherwise than in a process that is never forked. */
	async run(): Promise<Verdict["refused"]> {
		const children = await Promise.all(
			CHILDREN.map((name) => forkChild(name, () => this.#inChild(name), { deadlineMillis: 2 * deadlineMillis })),
		);

		this.#goOn.resolve();
		await soon(work(this.#application, "parent"), "the parent's work", deadlineMillis);
		for (const begun of [this.#open, ...this.#inFlight, ...this.#waiting]) {
			if (begun) await soon(rethrow(begun), "the end of what the parent had begun", deadlineMillis);
		}
		const [hook, noHook] = await Promise.all(children.map(({ result }) => result));

		await untilSessionsAre(this.#sessions, "the parent alone has sessions, those that it had");
		const rows = await ask<{ key: string }>(url, this.#written, [run]);
		expect(rows.map(({ key }) => key.slice(run.length + 1)).sort()).to.deep.equal(this.#expected());
		await soon(this.#application.end(), "the end of the library in the parent", deadlineMillis);
		await untilSessionsAre([], "all sessions have ended");
		return hook && noHook && { hook, "no-hook": noHook };
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

	async #inChild(name: string): Promise<Refusals | undefined> {
		if (name === "hook" && isOurs) afterFork();
		// This touches the pool: without `afterFork()`, nothing is noticed before.
		const backend = await soon(this.#application.backend(), "the child's first answer", deadlineMillis);
		this.#goOn.resolve();
		const refused = isOurs ? await this.#refusals() : undefined;
		await soon(work(this.#application, name), "the child's work", deadlineMillis);
		await soon(this.#application.end(), "the end of the library in the child", deadlineMillis);
		expect(this.#sessions, "sessions of the parent").not.to.include(backend);
		return refused;
	}

	async #refusals(): Promise<Refusals> {
		const [inFlight, waiting] = await Promise.all([toldOf(this.#inFlight), toldOf(this.#waiting)]);
		return { inFlight, waiting, ...(this.#open && { open: await toldOf([this.#open]) }) };
	}

	async #sleeping(): Promise<number> {
		const sessions = await sessionsOf();
		this.#sessions = sessions.map(({ pid }) => pid);
		return sessions.filter(({ sleeps }) => sleeps).length;
	}

	#expected(): string[] {
		const before = Array.from({ length: WAITING }, (_, index) => `waited ${index}`);
		if (this.#open) before.push("open", "open, later");
		return [...before, ...[...CHILDREN, "parent"].flatMap((who) => keysOf(who))].sort();
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

async function untilSessionsAre(pids: readonly number[], what: string): Promise<void> {
	const are = async (): Promise<boolean> => (await sessionsOf()).map(({ pid }) => pid).join() === pids.join();
	await untilTrue(are, { what, deadlineMillis });
}

interface Session {
	readonly pid: number;
	readonly sleeps: boolean;
}

/** What the server knows of the connections of this run, in all processes. */
function sessionsOf(): Promise<Session[]> {
	return ask<Session>(
		url,
		`select pid, state = 'active' and query like '%pg_sleep%' as sleeps
			from pg_stat_activity where application_name = $1 order by pid`,
		[run],
	);
}
