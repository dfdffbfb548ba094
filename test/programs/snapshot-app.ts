/**
 * An application with its pools at module level, for a start-up snapshot: bundled to one file, and asked for the first time while
 * the snapshot is built. What it starts as prints what it has found, and stays until its standard input ends.
 */
import { once } from "node:events";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { startupSnapshot } from "node:v8";
import { Pool as CorePool, currentGeneration, knownPid, lastProcessChange } from "@forksafe/core";
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Client, Pool } from "@forksafe/pg";
import knex from "knex";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import Cursor from "pg-cursor";
import { reportInSnapshot as report } from "../support/report-in-snapshot.ts";

const { DATABASE_URL: connectionString = "", FORKSAFE_TEST_NAME: application_name = "" } = process.env;
const { FORKSAFE_TEST_POOLS: pools, FORKSAFE_TEST_LAST: last } = process.env;
const isPlain = pools === "plain";
const settings = { connectionString, application_name, idleTimeoutMillis: 60_000 };

const pool = isPlain ? new pg.Pool(settings) : new Pool(settings);
// With Knex's own `min: 2`.
const db = knex({
	client: isPlain ? "pg" : ForkSafePostgres,
	connection: { connectionString, application_name },
	pool: { idleTimeoutMillis: 60_000 },
});
const kysely = new Kysely<object>({
	dialect: isPlain
		? new PostgresDialect({ pool: new pg.Pool(settings) })
		: new ForkSafePostgresDialect({ pool: { ...settings, min: 1 } }),
});
/** Whose chance is the pools'. */
const { options } = new CorePool({ connect: () => ({}), isAlive: () => true, destroy: () => {}, discard: () => {} });

type Ask = () => Promise<number>;
const PID = "select pg_backend_pid() as pid";
const ask: Readonly<Record<"pg" | "knex" | "kysely", Ask>> = {
	pg: async () => (await pool.query<{ pid: number }>(PID)).rows[0]?.pid ?? 0,
	knex: async () => (await db.raw<{ rows: { pid: number }[] }>(PID)).rows[0]?.pid ?? 0,
	kysely: async () => (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(kysely)).rows[0]?.pid ?? 0,
};

/** What is done last: a connection is taken and forgotten, mostly. */
const lastActions: Readonly<Record<string, () => Promise<unknown>>> = {
	pg: async function forgetsPgClient() {
		const client = await pool.connect();
		await client.query(PID);
	},
	"pg cursor": async function forgetsCursor() {
		const client = await pool.connect();
		await client.query(new Cursor("select generate_series(1, 1000)")).read(10);
	},
	"pg waiting": async function forgetsWhatOthersWaitFor() {
		await Promise.all(Array.from({ length: 10 }, () => pool.connect()));
	},
	client: async function forgetsToEndClient() {
		await new Client(connectionString).connect();
	},
	knex: async function forgetsKnexTransaction() {
		const transaction = await db.transaction();
		await transaction.raw(PID);
	},
	kysely: async function forgetsKyselyTransaction() {
		const transaction = await kysely.startTransaction().execute();
		await sql`select 1`.execute(transaction);
	},
	tls: async function asksForTls() {
		const refusal: unknown = await new Client({ connectionString, ssl: true }).connect().catch((error: unknown) => error);
		const { code, message } = refusal as NodeJS.ErrnoException;
		report(`${code}: ${message}`);
	},
};

async function askAll(times: number): Promise<number[]> {
	return Promise.all(Array.from({ length: times }, () => Object.values(ask).map((one) => one())).flat());
}

async function warmUp(): Promise<void> {
	await askAll(5);
	await db.transaction((transaction) => transaction.raw(PID));
	await kysely.transaction().execute((transaction) => sql`select 1`.execute(transaction));
	// Time for what comes back to go idle.
	await delay(20);
	report({ backends: await askAll(1), endedAt: performance.timeOrigin + performance.now(), pid: knownPid() });
	if (last !== undefined) await lastActions[last]?.();
}

async function main(): Promise<void> {
	const { cause, previousPid } = lastProcessChange() ?? {};
	report({
		pid: process.pid,
		knownPid: knownPid(),
		generation: currentGeneration(),
		change: { cause, previousPid },
		random: options.random(),
		clockBeganAt: performance.timeOrigin,
		backends: await askAll(2),
	});
	if (process.env["FORKSAFE_TEST_STAYS"] !== undefined) {
		// Neither a listener for a signal nor an idle connection keeps a process alive.
		const stays = setInterval(() => {}, 1_000);
		await once(process, "SIGTERM");
		clearInterval(stays);
	}
	await Promise.all([pool.end(), db.destroy(), kysely.destroy()]);
	report("ended");
}

startupSnapshot.setDeserializeMainFunction(() => void main());
void warmUp();
