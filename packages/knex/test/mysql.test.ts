/** Knex over mysql2 and a real MariaDB. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, type connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { InheritedConnectionError, PoolClosedError, ProcessChangedError } from "@forksafe/core";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { runProgram } from "../../../test/support/program.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { forkSafe } from "../src/index.ts";
import {
	askServer,
	type Connection,
	destroyMysql,
	holdMysql,
	killSessions,
	mysqlPoolOf,
	mysqlSubjects,
	openMysql,
	sessionOf,
	sessionsOf,
	untilRunning,
	urlOf,
} from "./support/mysql-database.ts";

const KILL_SESSIONS = new URL("fixtures/kill-sessions.ts", import.meta.url);

for (const subject of mysqlSubjects) {
	describe(`over MariaDB, ${subject.name}`, () => {
		let db: Knex;
		let name: string;
		let warnings: string[];

		beforeEach(async () => {
			({ db, name, warnings } = await subject.open());
			await askServer(`create table \`${name}\`.words (id int auto_increment primary key, word varchar(50))`);
		});
		afterEach(destroyMysql);

		it("builds, runs and answers queries of every kind", async () => {
			expect(await db("words").insert({ word: "one" })).to.deep.equal([1]);
			expect(await db("words").where({ id: 1 }).update({ word: "two" })).to.equal(1);
			expect(await db("words").first()).to.deep.equal({ id: 1, word: "two" });
			expect(await db("words").pluck("word")).to.deep.equal(["two"]);
			expect(await db("words").where({ id: 1 }).del()).to.equal(1);
			const [rows] = await db.raw("select ? as n", [5]);
			expect(rows).to.deep.equal([{ n: 5 }]);
			await db.schema.createTable("others", (table) => void table.increments());
			expect(await db.schema.hasTable("others")).to.equal(true);
			expect(warnings).to.deep.equal([]);
		});

		it("rejects with the error of the server, and goes on", async () => {
			expect(await rejection(db("nothing"))).to.include({ code: "ER_NO_SUCH_TABLE", errno: 1146 });
			expect(await db("words")).to.deep.equal([]);
		});

		it("commits what a callback has done, and rolls back where it rejects", async () => {
			await db.transaction(async (trx) => trx("words").insert({ word: "kept" }));
			const failed = db.transaction(async (trx) => {
				await trx("words").insert({ word: "lost" });
				throw new Error("of the callback");
			});
			expect((await rejection(failed)).message).to.equal("of the callback");
			expect(await db("words").pluck("word")).to.deep.equal(["kept"]);
		});

		it("nests transactions by savepoints", async () => {
			const trx = await db.transaction();
			await trx("words").insert({ word: "outer" });
			const lost = await trx.transaction();
			await lost("words").insert({ word: "lost" });
			await lost.rollback();
			const kept = await trx.transaction();
			await kept("words").insert({ word: "inner" });
			await kept.commit();
			await trx.commit();
			expect(await db("words").orderBy("id").pluck("word")).to.deep.equal(["outer", "inner"]);
		});

		it("begins a transaction of the isolation level that is asked for", async () => {
			const level = async (isolationLevel: Knex.IsolationLevels): Promise<number> => {
				const trx = await db.transaction({ isolationLevel });
				await trx("words");
				await db("words").insert({ word: "meanwhile" });
				const rows = await trx("words");
				await trx.rollback();
				await db("words").del();
				return rows.length;
			};
			expect(await level("read committed")).to.equal(1);
			expect(await level("repeatable read")).to.equal(0);
		});

		it("streams rows, and gives the connection back, read to the end or not", async () => {
			const all = [];
			for await (const row of db.raw("select seq from seq_1_to_1000").stream({ highWaterMark: 5 })) all.push(row);
			expect(all).to.have.lengthOf(1_000);
			for await (const _ of db.raw("select seq from seq_1_to_1000").stream({ highWaterMark: 5 })) break;
			await untilTrue(() => mysqlPoolOf(db).numUsed() === 0, { what: "the connections are given back" });
			expect(await sessionOf(db)).to.be.a("number");
		});

		it("kills a query on the server that takes too long, where it is asked to, and its connection goes on", async () => {
			const before = await sessionOf(db);
			const long = rejection(db.raw("select sleep(60)").timeout(200, { cancel: true }).then());
			await untilRunning(name, "select sleep(60)");
			expect(await long).to.include({ name: "KnexTimeoutError" });
			await untilTrue(async () => (await sessionsOf(name, "select sleep(60)")).length === 0, { what: "the server has stopped" });
			expect(await sessionOf(db)).to.equal(before);
			await untilTrue(async () => (await sessionsOf(name)).length === 1, { what: "the connection that has killed it is closed" });
		});

		it("prepares new connections by afterCreate, once each", async () => {
			let calls = 0;
			const afterCreate = (connection: Connection, done: (error: Error | null, connection: Connection) => void): void => {
				calls++;
				connection.query("set @prepared = 'yes'", (error) => done(error, connection));
			};
			const prepared = (await subject.open({ pool: { min: 0, max: 1, afterCreate } })).db;
			for (const _ of [1, 2]) expect((await prepared.raw("select @prepared as it"))[0]).to.deep.equal([{ it: "yes" }]);
			expect(calls).to.equal(1);
		});

		it("asks validate before a connection is used again", async () => {
			let refused: number | undefined;
			const validate = ({ threadId }: Connection): boolean => threadId !== refused;
			const validated = (await subject.open({ pool: { min: 0, max: 1, validate } })).db;
			const first = await sessionOf(validated);
			expect(await sessionOf(validated)).to.equal(first);
			refused = first;
			// Knex 3.1 lets its own validation take the place of the option.
			expect((await sessionOf(validated)) === first).to.equal(subject.name.endsWith("3.1"));
		});

		it("shares its pool with clones made by withUserParams", async () => {
			const one = (await subject.open({ pool: { min: 0, max: 1 } })).db;
			const clone = one.withUserParams({ tenant: 5 });
			expect(await sessionOf(clone)).to.equal(await sessionOf(one));
			expect(clone.userParams).to.deep.equal({ tenant: 5 });
		});

		it("closes all sessions by destroy(), and begins anew by initialize()", async () => {
			await Promise.all([db.raw("select sleep(0.02)"), db.raw("select sleep(0.02)")]);
			expect(await sessionsOf(name)).to.have.lengthOf(2);
			await db.destroy();
			await untilTrue(async () => (await sessionsOf(name)).length === 0, { what: "the server has seen it" });
			db.initialize();
			expect(await sessionOf(db)).to.be.a("number");
		});

		for (const [what, change, code] of [
			["the password is wrong", { password: "wrong" }, "ER_ACCESS_DENIED_ERROR"],
			["nobody is there", { port: 1 }, "ECONNREFUSED"],
			["the database is not there", { database: "nothing" }, "ER_BAD_DB_ERROR"],
		] as const) {
			it(`rejects with the driver's error at once when ${what}, and leaves nothing open`, async () => {
				const { hostname, port, username, password } = new URL(urlOf(name));
				const connection = { host: hostname, port: Number(port), user: username, password, database: name, ...change };
				const { db: failing } = await subject.open({ connection });
				const start = performance.now();
				const error = await rejection(failing.raw("select 1").then());
				expect(error.code).to.equal(code);
				expect(performance.now() - start).to.be.below(3_000);
				expect(mysqlPoolOf(failing)).to.satisfy((pool: ReturnType<typeof mysqlPoolOf>) => pool.numUsed() + pool.numFree() === 0);
			});
		}
	});
}

describe("over MariaDB, destroy()", () => {
	afterEach(destroyMysql);

	for (const transport of ["TCP", "a unix socket", "TLS"] as const) {
		it(`is over when every socket is closed, over ${transport}`, async () => {
			const { db } = await openMysql({}, transport);
			const held = [await holdMysql(db), await holdMysql(db)];
			for (const connection of held) await db.client.releaseConnection(connection);
			await db.destroy();
			for (const connection of held)
				expect((connection as unknown as { stream: { closed: boolean } }).stream.closed).to.equal(true);
		});
	}

	it("waits for connections in use, and rejects who waits at once", async () => {
		const { db } = await openMysql({ pool: { min: 0, max: 1 } });
		const held = await holdMysql(db);
		const waiting = follow(sessionOf(db));
		await untilTrue(() => mysqlPoolOf(db).numPendingAcquires() === 1, { what: "one waits" });
		const destroyed = follow(db.destroy());
		await settle();
		expect(waiting.reason).to.be.instanceOf(PoolClosedError);
		expect(destroyed.state).to.equal("pending");
		expect(await sessionOf(db, held)).to.be.a("number");
		await db.client.releaseConnection(held);
		await untilTrue(() => destroyed.state === "fulfilled", { what: "it is over" });
	});
});

describe("over MariaDB, after a process change", () => {
	afterEach(destroyMysql);

	it("a query runs on a connection of the new process, in the same pool", async () => {
		const { db } = await openMysql();
		const pool = mysqlPoolOf(db);
		const before = await sessionOf(db);
		pretendFork();
		expect(pool.numFree()).to.equal(0);
		expect(await sessionOf(db)).not.to.equal(before);
		expect(db.client.pool).to.equal(pool);
	});

	it("a connection that was taken rejects, and has no threadId", async () => {
		const { db } = await openMysql({ pool: { min: 0, max: 1 } });
		const held = await holdMysql(db);
		const change = pretendFork();
		expect(await rejection(sessionOf(db, held)))
			.to.be.instanceOf(InheritedConnectionError)
			.and.to.include({ change });
		expect(held.threadId).to.equal(null);
		await db.client.releaseConnection(held);
		expect(mysqlPoolOf(db).numFree()).to.equal(0);
	});

	it("who ran is told that the connection is inherited, who waited that the process has changed", async () => {
		const { db, name } = await openMysql({ pool: { min: 0, max: 1 } });
		const running = follow(db.raw("select sleep(60)").then());
		await untilRunning(name, "select sleep(60)");
		const waiting = follow(sessionOf(db));
		await untilTrue(() => mysqlPoolOf(db).numPendingAcquires() === 1, { what: "it waits" });
		pretendFork();
		await settle();
		expect(running.reason).to.be.instanceOf(InheritedConnectionError);
		expect(waiting.reason).to.be.instanceOf(ProcessChangedError);
	});

	it("whose connection was being opened is told too, and nothing is left open", async () => {
		const { db, name } = await openMysql({ pool: { min: 0, max: 1 } });
		const connecting = follow(holdMysql(db));
		await untilTrue(() => mysqlPoolOf(db).numPendingCreates() === 1, { what: "it connects" });
		pretendFork();
		await settle();
		expect(connecting.reason).to.be.instanceOf(ProcessChangedError);
		await untilTrue(async () => (await sessionsOf(name)).length === 0, { what: "nothing is left open" });
		expect(await sessionOf(db)).to.be.a("number");
	});

	it("a transaction begun before is rejected, its commit too, and what it has done is undone", async () => {
		const { db, name } = await openMysql({ pool: { min: 0, max: 1 } });
		await askServer(`create table \`${name}\`.words (word varchar(50))`);
		const trx = await db.transaction();
		await trx("words").insert({ word: "one" });
		const nested = await trx.transaction();
		for (const { executionPromise } of [trx, nested]) follow(executionPromise);
		pretendFork();
		expect(await rejection(trx("words").insert({ word: "two" }).then())).to.be.instanceOf(InheritedConnectionError);
		expect(await rejection(Promise.resolve(nested.commit()))).to.be.instanceOf(InheritedConnectionError);
		expect(await rejection(Promise.resolve(trx.commit()))).to.be.instanceOf(InheritedConnectionError);
		await untilTrue(async () => (await db("words")).length === 0, { what: "it is rolled back" });
		expect(mysqlPoolOf(db).numUsed()).to.equal(0);
	});

	it("a stream that is half read ends by an error", async () => {
		const { db } = await openMysql();
		const read = async (): Promise<void> => {
			for await (const { seq } of db.raw("select seq from seq_1_to_100000").stream({ highWaterMark: 2 })) {
				if (seq === 10) pretendFork();
			}
		};
		expect(await rejection(read())).to.be.instanceOf(InheritedConnectionError);
		expect(await sessionOf(db)).to.be.a("number");
	});

	it("a query of the old process is never killed by the time-out of the new one", async () => {
		const { db, name } = await openMysql({ pool: { min: 0, max: 1 } });
		// Stands for the session of the parent, which goes on: here nobody but the server has it.
		const held = await holdMysql(db);
		const id = held.threadId as number;
		const killed: unknown[] = [];
		const { _wrappedCancelQueryCall: cancel } = db.client;
		db.client._wrappedCancelQueryCall = (connection: Connection, toKill: Connection) => {
			killed.push(toKill.threadId);
			return cancel.call(db.client, connection, toKill);
		};
		const fake = new FakeProcess();
		const timedOut = rejection(db.raw("select sleep(60)").connection(held).timeout(100, { cancel: true }).then());
		await untilRunning(name, "select sleep(60)");
		try {
			fake.fork(4_000_000, 3_999_999);
			const error = await timedOut;
			expect(error).not.to.equal(undefined);
			expect(killed.filter((toKill) => toKill === id)).to.deep.equal([]);
		} finally {
			fake.restore();
		}
		await killSessions(name);
	});
});

describe("over MariaDB, when the server ends sessions", () => {
	afterEach(destroyMysql);

	for (const subject of mysqlSubjects) {
		const outcome = subject.isOurs ? "no query is lost" : "some queries are lost";
		it(`${outcome} of 20 at once, whose idle connections were killed without a word heard yet, ${subject.name}`, async () => {
			const { db, name } = await subject.open({ pool: { min: 0, max: 5 } });
			await Promise.all(Array.from({ length: 5 }, () => db.raw("select sleep(0.05)")));
			expect(mysqlPoolOf(db).numFree()).to.equal(5);
			// This process stands still meanwhile, and finds it out by its queries only.
			execFileSync(process.execPath, ["--conditions=@forksafe/source", fileURLToPath(KILL_SESSIONS), name]);
			const answers = await Promise.allSettled(Array.from({ length: 20 }, () => sessionOf(db)));
			const lost = answers.filter(({ status }) => status === "rejected");
			if (subject.isOurs) expect(lost).to.deep.equal([]);
			else expect(lost).not.to.deep.equal([]);
		});
	}

	for (const subject of mysqlSubjects) {
		const outcome = subject.isOurs ? "all connections are replaced" : "all connections are kept";
		it(`${outcome} when a query is told that the server shuts down, ${subject.name}`, async () => {
			const { db } = await subject.open({ pool: { min: 0, max: 3 } });
			const sessions = (): Promise<number[]> =>
				Promise.all(
					Array.from({ length: 3 }, () => db.raw("select connection_id() as id, sleep(0.05)").then(([[{ id }]]) => id)),
				);
			const before = await sessions();
			// As MySQL does; MariaDB 10.11 closes the connection instead.
			const shutdown = db.raw("signal sqlstate '08S01' set mysql_errno = 1053, message_text = 'Server shutdown in progress'");
			expect(await rejection(shutdown)).to.include({ code: "ER_SERVER_SHUTDOWN" });
			const kept = (await sessions()).filter((id) => before.includes(id));
			expect(kept.length).to.equal(subject.isOurs ? 0 : 3);
		});
	}

	for (const client of ["plain", "ours"] as const) {
		it(`a program lives on, is told what it has lost, and its next queries are answered (${client})`, async () => {
			const url = new URL("fixtures/lost-mysql-connections.ts", import.meta.url);
			const { reports, exitCode, output } = await runProgram(url, { deadlineMillis: 9_000, args: [client] });
			expect(output).to.equal("");
			expect(reports.map((report) => "value" in report && report.value)).to.deep.equal([
				{ after: "idle", isAnother: true },
				{ after: "used", onDead: "an error", works: true, numUsed: 0 },
				{ after: "busy", code: "an error", works: true, numUsed: 0 },
				{ after: "transaction", inTransaction: "an error", works: true, numUsed: 0 },
			]);
			expect(exitCode).to.equal(0);
		});
	}

	it("every connection is replaced once one has heard that the server is read only", async () => {
		const user = `u${Date.now()}`;
		await askServer(`create user ${user}@'%' identified by 'secret'`);
		await askServer(`grant select, insert, create on *.* to ${user}@'%'`);
		try {
			const database = await openMysql();
			const url = new URL(urlOf(database.name));
			[url.username, url.password] = [user, "secret"];
			const { db } = await openMysql({ connection: url.href, pool: { min: 0, max: 2 } });
			const [idle, used] = [await holdMysql(db), await holdMysql(db)];
			await db.client.releaseConnection(idle);
			await askServer("set global read_only = 1");
			const error = await rejection(
				db.schema
					.createTable("refused", (table) => void table.increments())
					.connection(used)
					.then(),
			);
			expect(error).to.include({ code: "ER_OPTION_PREVENTS_STATEMENT" });
			await untilTrue(() => mysqlPoolOf(db).numFree() === 0, { what: "the idle connection is closed" });
			await db.client.releaseConnection(used);
			expect(mysqlPoolOf(db).numFree() + mysqlPoolOf(db).numUsed()).to.equal(0);
			expect(await sessionOf(db)).to.be.a("number");
		} finally {
			await askServer("set global read_only = 0");
			await askServer(`drop user ${user}@'%'`);
		}
	});

	it("who waits is served once a server that was full has room again", async () => {
		const user = `u${Date.now()}`;
		await askServer(`create user ${user}@'%' identified by 'secret' with max_user_connections 1`);
		await askServer(`grant select on *.* to ${user}@'%'`);
		const { name } = await openMysql();
		const url = new URL(urlOf(name));
		[url.username, url.password] = [user, "secret"];
		const other = knex({ client: "mysql2", connection: url.href, pool: { min: 0, max: 1 } });
		await other.raw("select 1");
		const { db } = await openMysql({ connection: url.href });
		const waiting = follow(sessionOf(db));
		await untilTrue(() => mysqlPoolOf(db).numPendingAcquires() === 1, { what: "it waits" });
		await settle();
		await askServer("select sleep(0.1)");
		expect(waiting.state).to.equal("pending");
		await other.destroy();
		await untilTrue(() => waiting.state === "fulfilled", { what: "it is served" });
		await askServer(`drop user ${user}@'%'`);
	});
});

describe("over MariaDB, a connect that gets no answer", () => {
	afterEach(destroyMysql);

	it("is given up after createTimeoutMillis, and nothing is left open", async () => {
		const sockets = new Set<ReturnType<typeof connect>>();
		const silent = createServer((socket) => {
			sockets.add(socket);
			socket.on("error", () => {});
			socket.once("close", () => sockets.delete(socket));
		}).listen(0, "127.0.0.1");
		await once(silent, "listening");
		try {
			const { port } = silent.address() as AddressInfo;
			const { db } = await openMysql({
				client: forkSafe("mysql2"),
				connection: { host: "127.0.0.1", port, user: "any" },
				pool: { min: 0, max: 1, createTimeoutMillis: 100, acquireTimeoutMillis: 300 },
			});
			expect(await rejection(sessionOf(db))).to.be.instanceOf(Error);
			await untilTrue(() => sockets.size === 0, { what: "the socket was closed" });
			expect(mysqlPoolOf(db).numPendingCreates()).to.equal(0);
		} finally {
			silent.close();
		}
	});
});
