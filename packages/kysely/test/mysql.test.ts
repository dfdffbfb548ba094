/** Over MySQL and MariaDB. What is the same over PostgreSQL is tested there; real forks: test/scenarios. */
import { InheritedConnectionError, ProcessChangedError } from "@forksafe/core";
import type { Pool } from "@forksafe/mysql2";
import { expect } from "chai";
import { CompiledQuery, Kysely, MysqlDialect, sql } from "kysely";
import { Migrator } from "kysely/migration";
import mysql from "mysql2";
import { afterThisTest } from "../../../test/support/after-this-test.ts";
import { askMariadb } from "../../../test/support/mariadb.ts";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { follow, rejection, settle, thrown } from "../../../test/support/promises.ts";
import { mariadbUrl } from "../../../test/support/server-urls.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafeMysqlDialect, type ForkSafeMysqlDialectConfig } from "../src/mysql-dialect.ts";
import { isRunning, open, options, pooled, sessionOf, type Tables } from "./support/mysql.ts";

const plain = (): mysql.Pool => mysql.createPool({ uri: mariadbUrl("TCP"), connectionLimit: 1 });

/** A temporary table: it is there as long as the one session is. */
async function withWords(db: Kysely<Tables>): Promise<Kysely<Tables>> {
	await sql`create temporary table words (id int auto_increment primary key, word text)`.execute(db);
	return db;
}

const wordsOf = async (db: Kysely<Tables>): Promise<string[]> =>
	(await db.selectFrom("words").select("word").orderBy("id").execute()).map(({ word }) => word);

describe("over MariaDB", () => {
	it("inserts, updates and selects", async () => {
		const db = await withWords(open());
		const inserted = await db.insertInto("words").values({ word: "one" }).executeTakeFirstOrThrow();
		expect(inserted.insertId).to.equal(1n);
		const updated = await db.updateTable("words").set({ word: "two" }).where("id", "=", 1).executeTakeFirstOrThrow();
		expect(updated.numUpdatedRows).to.equal(1n);
		expect(await wordsOf(db)).to.deep.equal(["two"]);
		expect(await rejection(sql`select nothing`.execute(db))).to.include({ code: "ER_BAD_FIELD_ERROR" });
		expect(await wordsOf(db)).to.deep.equal(["two"]);
	});

	it("commits and rolls back, by callback and controlled, with savepoints and isolation levels", async () => {
		const db = await withWords(open());
		const say = (trx: Kysely<Tables>, word: string): Promise<unknown> => trx.insertInto("words").values({ word }).execute();
		await db
			.transaction()
			.setIsolationLevel("serializable")
			.execute((trx) => say(trx, "kept"));
		const failure = new Error("no");
		const failing = db.transaction().execute(async (trx) => {
			await say(trx, "lost");
			throw failure;
		});
		expect(await rejection(failing)).to.equal(failure);
		const trx = await db.startTransaction().execute();
		await say(trx, "also kept");
		const savepoint = await trx.savepoint("here").execute();
		await say(savepoint, "undone");
		await (await savepoint.rollbackToSavepoint("here").execute()).releaseSavepoint("here").execute();
		await trx.commit().execute();
		expect(await wordsOf(db)).to.deep.equal(["kept", "also kept"]);
	});

	it("streams rows and lends a connection, and has them back, read to the end or not", async () => {
		const db = open();
		let sum = 0;
		for await (const { n } of stream(db)) sum += n;
		expect(sum).to.equal(500_500);
		for await (const { n } of stream(db)) if (n === 10) break;
		const [one, other] = await db.connection().execute(async (same) => [await sessionOf(same), await sessionOf(same)]);
		expect(one).to.equal(other);
	});

	it("tells of its tables, and migrates under the lock of the server", async () => {
		const name = `migrated_${Date.now()}`;
		await askMariadb(mariadbUrl("TCP"), `create database ${name}`);
		afterThisTest(() => askMariadb(mariadbUrl("TCP"), `drop database ${name}`));
		const url = new URL(mariadbUrl("TCP"));
		url.pathname = name;
		const db = open({ pool: { uri: url.href, connectionLimit: 2 } });
		const migrations = {
			first: { up: async (own: Kysely<unknown>) => own.schema.createTable("made").addColumn("id", "integer").execute() },
		};
		const migrator = (): Migrator => new Migrator({ db, provider: { getMigrations: async () => migrations } });
		const both = await Promise.all([migrator().migrateToLatest(), migrator().migrateToLatest()]);
		expect(both.flatMap(({ results }) => results?.map(({ status }) => status))).to.deep.equal(["Success"]);
		expect((await db.introspection.getTables()).map((table) => table.name)).to.include("made");
	});
});

describe("ForkSafeMysqlDialect", () => {
	for (const [title, pool] of [
		["options", () => options()],
		["a pool", () => pooled()],
		["a function", () => () => pooled()],
		["an async function", () => async () => pooled()],
	] as [string, () => ForkSafeMysqlDialectConfig["pool"]][]) {
		it(`takes ${title} for its pool, and ends it`, async () => {
			const db = new Kysely<Tables>({ dialect: new ForkSafeMysqlDialect({ pool: pool() }) });
			const session = await sessionOf(db);
			expect(await sessionOf(db)).to.equal(session);
			await db.destroy();
			expect(await isRunning(session, "")).to.equal(false);
		});
	}

	for (const [config, message] of [
		[{ pool: {}, polo: 1 }, "option polo (1) does not exist; did you mean pool?"],
		[{ pool: {}, onCreateConnection: true }, "option onCreateConnection (true) must be a function"],
		[{ pool: {}, controlConnection: {} }, "option controlConnection (an object) must be a function"],
		[{ pool: { conectionLimit: 1 } }, "option conectionLimit (1) does not exist; did you mean connectionLimit?"],
		[{ pool: new (class {})() }, /^option pool \(an object\) must be a Pool of @forksafe\/mysql2, its options, or a function/],
	] as [object, string | RegExp][]) {
		it(`refuses ${JSON.stringify(Object.keys(config))}: ${message}`, () => {
			const error = thrown(() => new ForkSafeMysqlDialect(config as ForkSafeMysqlDialectConfig));
			expect(error).to.include({ code: "ERR_FORKSAFE_OPTION" });
			if (typeof message === "string") expect(error.message).to.equal(message);
			else expect(error.message).to.match(message);
		});
	}

	it("refuses what a function returns, if it is no pool of ours", async () => {
		const db = open({ pool: () => plain() as Pool });
		expect(await rejection(sessionOf(db))).to.include({ code: "ERR_FORKSAFE_OPTION" });
	});

	it("closes a connection whose onCreateConnection fails, and tries again on the next; with Kysely's own dialect it is lost", async () => {
		const failure = new Error("not today");
		const hook = (): { onCreateConnection: () => Promise<void> } => {
			let times = 0;
			return { onCreateConnection: async () => void (++times < 3 && (await Promise.reject(failure))) };
		};
		const db = open(hook());
		expect(await rejection(sessionOf(db))).to.equal(failure);
		expect(await rejection(sessionOf(db))).to.equal(failure);
		expect(await sessionOf(db)).to.equal(await sessionOf(db));

		const pool = pooled();
		const theirs = new Kysely<Tables>({ dialect: new MysqlDialect({ pool, ...hook() }) });
		expect(await rejection(sessionOf(theirs))).to.equal(failure);
		const waiting = follow(sessionOf(theirs));
		await settle();
		expect(waiting.state).to.equal("pending");
		expect(pool.stats()).to.include({ used: 1, pending: 1 });
		pretendFork();
		await theirs.destroy();
	});

	it("prepares each connection of each process once, and closes one whose onReserveConnection fails", async () => {
		const did: string[] = [];
		const db = open({
			onCreateConnection: async (connection) => {
				did.push("create");
				await connection.executeQuery(CompiledQuery.raw("set @prepared = 7"));
			},
			onReserveConnection: async () => {
				did.push("reserve");
				if (did.length === 5) throw new Error("no");
			},
		});
		const prepared = async (): Promise<unknown> => (await sql<{ n: number }>`select @prepared as n`.execute(db)).rows[0]?.n;
		expect(await prepared()).to.equal(7);
		pretendFork();
		expect(await prepared()).to.equal(7);
		expect((await rejection(prepared())).message).to.equal("no");
		expect(await prepared()).to.equal(7);
		expect(did).to.deep.equal(["create", "reserve", "create", "reserve", "reserve", "create", "reserve"]);
	});
});

describe("over MariaDB, after a process change", () => {
	it("a query runs on a connection of the new process", async () => {
		const db = open();
		const before = await sessionOf(db);
		pretendFork();
		const after = await sessionOf(db);
		expect(after).not.to.equal(before);
		expect(await sessionOf(db)).to.equal(after);
	});

	it("who ran is told that the connection is inherited, who waited that the process has changed", async () => {
		const pool = pooled();
		const db = open({ pool });
		const trx = await db.startTransaction().execute();
		const running = follow(sql`select sleep(60)`.execute(trx));
		const waiting = follow(sessionOf(db));
		await untilTrue(() => pool.stats().pending === 1, { what: "it waits" });
		pretendFork();
		await settle();
		expect(running.reason).to.be.instanceOf(InheritedConnectionError);
		expect(waiting.reason).to.be.instanceOf(ProcessChangedError);
		expect(await rejection(trx.commit().execute())).to.be.instanceOf(InheritedConnectionError);
		expect(await sessionOf(db)).to.be.a("number");
	});

	it("a stream that is half read ends by an error", async () => {
		const db = open();
		let seen = 0;
		const reading = async (): Promise<void> => {
			for await (const _ of stream(db)) if (++seen === 10) pretendFork();
		};
		expect(await rejection(reading())).to.be.instanceOf(InheritedConnectionError);
		expect(seen).to.be.below(1000);
	});

	it("destroy() ends at once, whatever was held before", async () => {
		const db = open();
		await db.startTransaction().execute();
		pretendFork();
		await db.destroy();
	});
});

function stream(db: Kysely<Tables>): AsyncIterable<{ n: number }> {
	return db.selectFrom(sql<{ n: number }>`seq_1_to_1000`.as<"s">("s")).select(sql<number>`seq`.as("n")).stream();
}
