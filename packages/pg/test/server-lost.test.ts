/** What the server says to one client, and what becomes of the others. */
import { expect } from "chai";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import type { Pool, PoolClient, PoolConfig } from "../src/index.ts";
import { concernsServer } from "../src/server-messages.ts";
import { ask, databaseParts, terminate } from "./support/database.ts";
import { afterThisTest, openPool, uniqueName } from "./support/set-up.ts";

const READ_ONLY = "25006";

/** A pool with one idle client, and one in use. */
async function openTwo(config: PoolConfig = {}): Promise<{ pool: Pool; idle: PoolClient; used: PoolClient }> {
	const pool = openPool({ max: 2, validateAfterIdleMillis: 0, ...config });
	pool.on("error", () => {});
	const [idle, used] = [await pool.connect(), await pool.connect()];
	await used.query("create temporary table written (n int)");
	idle.release();
	expect(pool).to.include({ totalCount: 2, idleCount: 1 });
	return { pool, idle, used };
}

/** Whether the pool has replaced the other client as well; the one in use is released. */
async function expectEvicted({ pool, used }: { pool: Pool; used: PoolClient }): Promise<void> {
	await untilTrue(() => pool.idleCount === 0, { what: "the idle client was closed" });
	used.release();
	expect(pool.totalCount).to.equal(0);
	await pool.query("select 1");
}

function expectKept({ pool, used }: { pool: Pool; used: PoolClient }): void {
	expect(pool).to.include({ totalCount: 2, idleCount: 1 });
	used.release();
	expect(pool).to.include({ totalCount: 2, idleCount: 2 });
}

describe("a client that is told that its server goes", () => {
	it("takes the others with it, softly: those in use go on", async () => {
		const two = await openTwo();
		await terminate(two.idle.processID);
		await untilTrue(() => two.pool.totalCount === 1, { what: "the idle client has gone" });
		expect((await two.used.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
		await expectEvicted(two);
	});

	it("does so also when a query of its own hears of it", async () => {
		const two = await openTwo();
		const running = rejection(two.used.query("select pg_sleep(60)"));
		await terminate(two.used.processID);
		expect(await running).to.have.property("code", "57P01");
		await expectEvicted(two);
	});

	it("does so also when it hears of a crash: what the server says then is a warning", async () => {
		const two = await openTwo();
		await two.used.query("do $$ begin raise warning using errcode = '57P02', message = 'as quickdie() says it'; end $$");
		expect(two.used.isBroken).to.equal(true);
		await expectEvicted(two);
	});

	it("replaces what was there, once, and nothing that was opened since", async () => {
		const pool = openPool({ max: 4 });
		pool.on("error", () => {});
		const old = [await pool.connect(), await pool.connect()] as const;
		await terminate(old[0].processID);
		await untilTrue(() => old[0].isBroken, { what: "the first one has heard" });
		old[0].release();
		const fresh = await pool.connect();
		fresh.release();
		await terminate(old[1].processID);
		await untilTrue(() => old[1].isBroken, { what: "the second one has heard" });
		old[1].release();
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
		expect(await pool.connect()).to.equal(fresh);
		fresh.release();
	});
});

describe("a client whose server refuses to write", () => {
	it("takes the others with it when the server says that it is read only", async () => {
		const two = await openTwo();
		// As a standby says it, or a primary whose settings were changed for a fail-over.
		await two.used.query("set default_transaction_read_only to on");
		expect(await rejection(two.used.query("create table refused (n int)"))).to.have.property("code", READ_ONLY);
		await expectEvicted(two);
	});

	it("takes the others with it when its role may only read", async () => {
		const role = uniqueName();
		await ask(`create role "${role}" login password 'secret'`);
		afterThisTest(async () => void (await ask(`drop role "${role}"`)));
		await ask(`alter role "${role}" set default_transaction_read_only to on`);
		const pool = openPool({ ...databaseParts(), user: role, password: "secret", max: 2 });
		const [idle, used] = [await pool.connect(), await pool.connect()];
		idle.release();
		expect(used.isReadOnly).to.equal(true);
		expect(await rejection(used.query("create table refused (n int)"))).to.have.property("code", READ_ONLY);
		await expectEvicted({ pool, used });
		await pool.end();
	});

	it("does not when only the transaction is read only", async () => {
		const two = await openTwo();
		await two.used.query("begin read only");
		expect(await rejection(two.used.query("create table refused (n int)"))).to.have.property("code", READ_ONLY);
		await two.used.query("rollback");
		expect(two.used.isReadOnly).to.equal(false);
		expectKept(two);
	});

	it("does not when the server has become a primary again", async () => {
		const two = await openTwo();
		await two.used.query("set default_transaction_read_only to on");
		await two.used.query("set default_transaction_read_only to off");
		await two.used.query("begin read only");
		await rejection(two.used.query("create table refused (n int)"));
		await two.used.query("rollback");
		expectKept(two);
	});

	it("replaces the others once in a while, not for each statement: perhaps a standby is what is wanted", async () => {
		const pool = openPool({ options: "-c default_transaction_read_only=on" });
		const pids = new Set<number>();
		const write = async (): Promise<void> => {
			const client = await pool.connect();
			pids.add(client.processID as number);
			expect(await rejection(client.query("create table refused (n int)"))).to.have.property("code", READ_ONLY);
			client.release();
		};
		for (let statement = 0; statement < 10; statement++) await write();
		expect(pids.size).to.equal(2);
		const isReplaced = async (): Promise<boolean> => {
			await write();
			return pids.size > 2;
		};
		await untilTrue(isReplaced, { what: "after a second, the next statement asks for other clients" });
	});
});

describe("an error that says nothing about the server", () => {
	it("leaves the other clients alone, and its own too: a statement with too few values is 08P01 as well", async () => {
		const two = await openTwo();
		expect(await rejection(two.used.query("select $1::int, $2::int", [1]))).to.have.property("code", "08P01");
		expectKept(two);
	});

	it("leaves the other clients alone when the server has lost patience with this one", async () => {
		const two = await openTwo();
		await two.used.query("set idle_session_timeout to '1ms'");
		await untilTrue(() => two.used.isBroken, { what: "the session was ended" });
		two.used.release();
		expect(two.pool).to.include({ totalCount: 1, idleCount: 1 });
	});
});

describe("concernsServer", () => {
	for (const [code, severity, message, isReadOnly, expected] of [
		["57P01", "FATAL", "", false, true],
		["57P02", "WARNING", "", false, true],
		["57P03", "FATAL", "", false, true],
		["57P04", "FATAL", "the database was dropped", false, false],
		["57P05", "FATAL", "", false, false],
		["25P03", "FATAL", "", false, false],
		["25006", "ERROR", "", true, true],
		["25006", "ERROR", "", undefined, true],
		["25006", "ERROR", "", false, false],
		["08P01", "FATAL", "server conn crashed?", false, true],
		["08P01", "FATAL", "query_wait_timeout", false, false],
		["08P01", "FATAL", "client_idle_timeout", false, false],
		["08P01", "ERROR", "bind message supplies 1 parameters", false, false],
		["08006", "ERROR", "a foreign server has gone", false, false],
		["XX000", "FATAL", "", false, false],
		[undefined, undefined, undefined, false, false],
	] as const) {
		it(`says ${expected} for ${code} ${severity} ${message} (read only: ${isReadOnly})`, () => {
			expect(concernsServer({ code, severity, message }, isReadOnly)).to.equal(expected);
		});
	}
});
