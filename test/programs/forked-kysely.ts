/**
 * `forked-kysely.ts OURS|OWN|PLAIN hook|no-hook case...`: what Kysely documents, done by a parent and by its forked child at the same
 * time, with the one Kysely that both have: our dialect, Kysely's own over our pool, or without forksafe. Which version of Kysely it
 * is, `support/kysely-version.ts` decides. Reports what became of each case, in the words of its first error.
 */
import { randomUUID } from "node:crypto";
import process from "node:process";
import { afterFork } from "@forksafe/core";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Client, Pool } from "@forksafe/pg";
import { expect } from "chai";
import { type Dialect, type InflightQueryAbortStrategy, Kysely, PostgresDialect, type PostgresDialectConfig, sql } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import pg from "pg";
import Cursor from "pg-cursor";
import { ask } from "../faces/postgres-view.ts";
import { expectRefused, INHERITED, outcome, soon } from "../scenarios/scenario.ts";
import { type Child, forkChild } from "../support/fork.ts";
import { kyselyVersion } from "../support/kysely-version.ts";
import { getpid } from "../support/posix-fork.ts";
import { report } from "../support/report.ts";
import { scoped } from "../support/scoped.ts";
import { untilTrue } from "../support/until-true.ts";

const [whose, hook, ...names] = process.argv.slice(2);
kyselyVersion(import.meta.resolve("kysely"));
/** For one case. Without forksafe, most of them hang. */
const deadlineMillis = whose === "PLAIN" ? 4_000 : 20_000;
const { DATABASE_URL: url = "" } = process.env;

interface Database {
	words: { word: string };
	ran: { step: string; pid: number };
}

/** What a case runs with. */
interface Run {
	readonly db: Kysely<Database>;
	/** A database of its own, as the lock of migrations is one for each; and the name of the sessions. */
	readonly name: string;
	readonly url: string;
	/** Who has prepared each connection, in the words of `onCreateConnection`. */
	readonly prepared: readonly number[];
	fork<T>(body: () => Promise<T>): Promise<Child<T>>;
}

const cases: Record<string, (run: Run) => Promise<void>> = {
	async transactions({ db, fork, url }) {
		await db.schema.createTable("words").addColumn("word", "text").execute();
		const backend = await backendOf(db);
		const child = await fork(() => transactions(db, "child"));
		const ofParent = await transactions(db, "parent");
		const expected = [...ofParent, ...(await child.result)].sort();
		const rows = await ask<{ word: string }>(url, `select word from words order by word collate "C"`);
		expect(rows.map(({ word }) => word)).to.deep.equal(expected);
		expect(await backendOf(db), "the parent's connection").to.equal(backend);
	},

	async streams({ db, fork }) {
		const backend = await backendOf(db);
		const inherited = numbers(db, 0, 5_000);
		expect((await inherited.next()).value).to.deep.equal({ n: 0 });
		const child = await fork(async () => {
			const own = streamed(db, 1_000_000);
			await expectRefused(drain(inherited), INHERITED);
			return own;
		});
		expect(await drain(inherited), "the rest of the parent's stream").to.equal(5_000);
		expect(await streamed(db, 2_000_000), "rows of the parent").to.equal(5_001);
		expect(await child.result, "rows of the child").to.equal(5_001);
		expect(await backendOf(db), "the parent's connection").to.equal(backend);
	},

	async hooks({ db, fork, prepared }) {
		await prepareTwo(db);
		const child = await fork(async () => {
			await prepareTwo(db);
			for (let round = 0; round < 20; round++) expect(await preparedBy(db), "in the child").to.equal(getpid());
			expect(prepared.filter((pid) => pid === getpid())).to.have.lengthOf(2);
		});
		for (let round = 0; round < 20; round++) expect(await preparedBy(db), "in the parent").to.equal(getpid());
		await child.result;
		expect(prepared).to.deep.equal([getpid(), getpid()]);
	},

	cancel: (run) => abortInChild(run, "cancel query"),

	kill: (run) => abortInChild(run, "kill session"),

	async schema({ db, fork }) {
		const backend = await backendOf(db);
		const child = await fork(() => changeSchema(db, "child"));
		await changeSchema(db, "parent");
		await child.result;
		// Not while the other process drops what this one would describe.
		const tables = await db.introspection.getTables();
		const described = tables.map(({ name, columns }) => [name, ...columns.map((column) => column.name)].sort().join(" "));
		expect(described).to.have.members(["child of_child word", "of_parent parent word"]);
		expect(await backendOf(db), "the parent's connection").to.equal(backend);
	},

	async migrations({ db, fork }) {
		await createRan(db);
		const child = await fork(() => migrate(db));
		const ran = [await migrate(db), await child.result];
		expect(ran, "migrations done by each").to.have.members([0, STEPS.length]);
		await expectRan(db);
	},

	async "migrations in flight"({ db, fork, name, url }) {
		await createRan(db);
		const running = migrator(db).migrateToLatest();
		await untilTrue(async () => (await active(name, "%pg_sleep%")) === 1, { what: "the first step runs" });
		const holders = async (): Promise<unknown[]> =>
			ask(
				url,
				"select pid from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())",
			);
		const lock = await holders();
		expect(lock).to.have.lengthOf(1);
		const child = await fork(async () => {
			// Whatever touches the pool first: without `afterFork()`, nothing is noticed before.
			await backendOf(db);
			const { error } = await soon(running, "the child's copy of the migrations");
			// Kysely's own dialect has no other word for a connection whose rollback has failed.
			if (whose === "OURS") await expectRefused(Promise.reject(error), INHERITED);
			else expect(error).to.be.instanceOf(Error);
			expect(await holders(), "who has the lock").to.deep.equal(lock);
			// Waits for the lock, and finds everything done.
			return migrate(db);
		});
		const { error, results } = await soon(running, "the parent's migrations", deadlineMillis);
		expect(error).to.equal(undefined);
		expect(results?.map(({ migrationName, status }) => [migrationName, status])).to.deep.equal(
			STEPS.map((step) => [step, "Success"]),
		);
		expect(await child.result, "what was left for the child").to.equal(0);
		await expectRan(db);
	},

	async destroy({ db, fork, name }) {
		await db.schema.createTable("words").addColumn("word", "text").execute();
		const trx = await db.startTransaction().execute();
		await trx.insertInto("words").values({ word: "before" }).execute();
		const child = await fork(async () => {
			await scoped(db, async (own) => expect(await backendOf(own)).to.be.a("number"));
			expect(await outcome(backendOf(db))).to.have.property("error");
			await soon(db.destroy(), "the second end");
		});
		await child.result;
		await trx.insertInto("words").values({ word: "after" }).execute();
		await trx.commit().execute();
		expect(await db.selectFrom("words").select("word").execute()).to.deep.equal([{ word: "before" }, { word: "after" }]);
		await db[Symbol.asyncDispose]();
		await untilTrue(async () => (await sessions(name)) === 0, { what: "the parent's connections are closed" });
	},
};

/** A child aborts a query that its parent runs, before it does anything else. */
async function abortInChild({ db, fork, name }: Run, inflightQueryAbortStrategy: InflightQueryAbortStrategy): Promise<void> {
	const backend = await backendOf(db);
	const controller = new AbortController();
	const { signal } = controller;
	const running = outcome(
		sql<{ answer: string }>`select pg_sleep(1.5), 'done' as answer`.execute(db, { signal, inflightQueryAbortStrategy }),
	);
	await untilTrue(async () => (await active(name, "%pg_sleep%")) === 1, { what: "the server is at it" });
	const child = await fork(async () => {
		// Our dialect cancels without a connection of Kysely's.
		const ended = whose === "OURS" && inflightQueryAbortStrategy === "cancel query" ? Promise.resolve() : firstEnd();
		controller.abort(new Error("nobody wants it any more"));
		await soon(running, "the child's copy of the query");
		await soon(ended, "the end of the connection on which Kysely cancels");
		return backendOf(db);
	});
	await child.exited;
	expect(await active(name, "%pg_sleep%"), "queries that go on").to.equal(1);
	const result = await soon(running, "the parent's query");
	expect("value" in result ? result.value.rows[0]?.answer : result.error).to.equal("done");
	expect(await child.result, "the child's connection").not.to.equal(backend);
	expect(await backendOf(db), "the parent's connection").to.equal(backend);
}

let ends = Promise.withResolvers<void>();

/** When a client is ended that somebody has connected. Those that are forgotten are not ended. */
function firstEnd(): Promise<void> {
	ends = Promise.withResolvers();
	return ends.promise;
}

/** Kysely cancels on a connection of the pool's class. */
class ObservedClient extends Client {
	override end(): Promise<void>;
	override end(callback?: (error: Error) => void): void;
	override end(callback?: (error: Error) => void): Promise<void> | void {
		ends.resolve();
		return callback === undefined ? super.end() : super.end(callback);
	}
}

class ObservedPlainClient extends pg.Client {
	override end(): Promise<void>;
	override end(callback?: (error: Error) => void): void;
	override end(callback?: (error: Error) => void): Promise<void> | void {
		const ended = callback === undefined ? super.end() : super.end(callback);
		ends.resolve();
		return ended;
	}
}

/** Every form of a transaction, some rounds of each. Returns what is committed. */
async function transactions(db: Kysely<Database>, who: string): Promise<string[]> {
	const committed: string[] = [];
	for (let round = 0; round < 3; round++) {
		const insert = async (trx: Kysely<Database>, what: string, stays = true): Promise<void> => {
			const word = `${who} ${round} ${what}`;
			await trx.insertInto("words").values({ word }).execute();
			if (stays) committed.push(word);
		};
		await db.transaction().execute((trx) => insert(trx, "callback"));
		const failure = new Error("no");
		const failing = db.transaction().execute(async (trx) => {
			await insert(trx, "undone", false);
			throw failure;
		});
		expect(await outcome(failing)).to.deep.equal({ error: failure });

		await db
			.transaction()
			.setIsolationLevel("serializable")
			.execute(async (trx) => {
				const { rows } = await sql`show transaction_isolation`.execute(trx);
				expect(rows).to.deep.equal([{ transaction_isolation: "serializable" }]);
				await insert(trx, "serializable");
			});
		const readOnly = db.transaction().setAccessMode("read only");
		const refused = outcome(readOnly.execute((trx) => insert(trx, "read only", false)));
		expect(await refused).to.have.nested.property("error.code", "25006");

		const controlled = await db.startTransaction().execute();
		await insert(controlled, "controlled");
		const saved = await controlled.savepoint("here").execute();
		await insert(saved, "after the savepoint", false);
		await saved.rollbackToSavepoint("here").execute();
		await insert(saved, "after it was gone back to");
		await saved.releaseSavepoint("here").execute();
		await controlled.commit().execute();
		expect(controlled.isCommitted).to.equal(true);

		const undone = await db.startTransaction().execute();
		await insert(undone, "rolled back", false);
		await undone.rollback().execute();

		await db.connection().execute(async (own) => {
			expect(await backendOf(own)).to.equal(await backendOf(own));
			await own.transaction().execute((trx) => insert(trx, "on a connection of one's own"));
		});
	}
	return committed;
}

function numbers(db: Kysely<Database>, first: number, last: number): AsyncIterableIterator<{ n: number }> {
	const series = sql<{ n: number }>`generate_series(${sql.lit(first)}::int, ${sql.lit(last)}::int)`.as<"n">("n");
	return db.selectFrom(series).selectAll().stream(100);
}

/** Streams 5001 rows, each of which has to be this process's own. */
async function streamed(db: Kysely<Database>, first: number): Promise<number> {
	let next = first;
	for await (const { n } of numbers(db, first, first + 5_000)) {
		if (n !== next++) throw new Error(`row ${n} instead of ${next - 1}`);
	}
	return next - first;
}

/** How many rows are left. */
async function drain(rows: AsyncIterator<unknown>): Promise<number> {
	let count = 0;
	while (!(await rows.next()).done) count++;
	return count;
}

/** Two connections, side by side. */
async function prepareTwo(db: Kysely<Database>): Promise<void> {
	await db.connection().execute(async (one) => {
		await db.connection().execute(async (other) => {
			expect(await backendOf(one)).not.to.equal(await backendOf(other));
		});
	});
}

async function preparedBy(db: Kysely<Database>): Promise<number> {
	const { rows } = await sql<{ pid: string }>`select current_setting('forked.pid') as pid`.execute(db);
	return Number(rows[0]?.pid);
}

async function changeSchema(db: Kysely<Database>, name: string): Promise<void> {
	for (let round = 0; round < 3; round++) {
		await db.schema.dropTable(name).ifExists().execute();
		await db.schema
			.createTable(name)
			.addColumn("id", "serial", (column) => column.primaryKey())
			.addColumn("word", "varchar(20)", (column) => column.notNull())
			.execute();
		await db.schema.createIndex(`${name}_words`).on(name).column("word").execute();
		await db.schema.alterTable(name).addColumn(`of_${name}`, "integer").dropColumn("id").execute();
		expect((await db.introspection.getSchemas()).map((each) => each.name)).to.include("public");
	}
}

const STEPS = ["1 first", "2 second", "3 third"];

async function createRan(db: Kysely<Database>): Promise<void> {
	await db.schema.createTable("ran").addColumn("step", "text").addColumn("pid", "integer").execute();
}

/** Migrations that note who has run them, and take a while. */
function migrator(db: Kysely<Database>): Migrator {
	const step = (name: string): Migration => ({
		up: async (trx) => {
			await trx.insertInto("ran").values({ step: name, pid: getpid() }).execute();
			await sql`select pg_sleep(0.2)`.execute(trx);
		},
	});
	const migrations = Object.fromEntries(STEPS.map((name) => [name, step(name)]));
	return new Migrator({ db, provider: { getMigrations: async () => migrations } });
}

/** How many were done by this process. */
async function migrate(db: Kysely<Database>): Promise<number> {
	const { error, results = [] } = await migrator(db).migrateToLatest();
	if (error !== undefined) throw error;
	return results.length;
}

/** Each once, in order, by one process. */
async function expectRan(db: Kysely<Database>): Promise<void> {
	const ran = await db.selectFrom("ran").select(["step", "pid"]).execute();
	expect(ran.map(({ step }) => step)).to.deep.equal(STEPS);
	expect(new Set(ran.map(({ pid }) => pid))).to.have.property("size", 1);
}

async function backendOf(db: Kysely<Database>): Promise<number> {
	const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
	return rows[0]?.pid as number;
}

/** How many statements of this case run on the server. */
async function active(name: string, like: string): Promise<number> {
	return count("application_name = $1 and state = 'active' and query like $2", [name, like]);
}

async function sessions(name: string): Promise<number> {
	return count("application_name = $1", [name]);
}

async function count(where: string, values: string[]): Promise<number> {
	const [row] = await ask<{ n: number }>(url, `select count(*)::int as n from pg_stat_activity where ${where}`, values);
	return row?.n ?? 0;
}

function dialect(connectionString: string, name: string, prepared: number[]): Dialect {
	const options = { connectionString, application_name: name, max: 2 };
	const others: Pick<PostgresDialectConfig, "cursor" | "onCreateConnection"> = {
		cursor: Cursor,
		onCreateConnection: async (connection) => {
			prepared.push(getpid());
			await connection.executeQuery(sql`select set_config('forked.pid', ${String(getpid())}, false)`.compile(compiler));
		},
	};
	switch (whose) {
		case "OURS":
			return new ForkSafePostgresDialect({ pool: { ...options, Client: ObservedClient }, ...others });
		case "OWN":
			return new PostgresDialect({ pool: new Pool({ ...options, Client: ObservedClient }), ...others });
		default:
			return new PostgresDialect({
				pool: new pg.Pool({ ...options, Client: ObservedPlainClient }).on("error", () => {}),
				...others,
			});
	}
}

/** Compiles, and never connects. */
const compiler = new Kysely<Database>({ dialect: new PostgresDialect({ pool: new pg.Pool() }) });

async function verdict(name: string): Promise<string> {
	const body = cases[name];
	if (body === undefined) throw new Error(`no such case: ${name}`);
	const database = `forked-${randomUUID()}`;
	await ask(url, `create database "${database}"`);
	const own = Object.assign(new URL(url), { pathname: `/${database}` }).href;
	const prepared: number[] = [];
	const db = new Kysely<Database>({ dialect: dialect(own, database, prepared) });
	try {
		const fork: Run["fork"] = (inChild) =>
			forkChild(
				"child",
				() => {
					if (hook === "hook") afterFork();
					return inChild();
				},
				{ deadlineMillis: deadlineMillis - 1_000 },
			);
		await soon(body({ db, name: database, url: own, prepared, fork }), "the end of the case", deadlineMillis);
		await soon(db.destroy(), "the end of the pool");
		return "ok";
	} catch (error) {
		return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
	} finally {
		// Without forksafe, some may be in a transaction that nobody ends.
		await ask(url, `drop database "${database}" with (force)`);
	}
}

for (const name of names) {
	if (whose === "PLAIN") {
		// Two copies of one connection can also confuse pg's parser, far from every promise.
		process.once("uncaughtException", (error) => {
			report({ name, verdict: `uncaught: ${error.message}` });
			process.exit();
		});
	}
	report({ name, verdict: await verdict(name) });
}
if (whose === "PLAIN") process.exit();
