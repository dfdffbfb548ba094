import { Socket } from "node:net";
import { inspect } from "node:util";
import { InheritedConnectionError } from "@forksafe/core";
import { expect } from "chai";
import pg from "pg";
import Cursor from "pg-cursor";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { forkUnnoticed, pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { Client, type ClientConfig } from "../src/index.ts";
import { ask, databaseUrl, untilSessions } from "./support/database.ts";
import { PostgresProxy } from "./support/proxy.ts";
import { afterThisTest, openClient, openPool, uniqueName } from "./support/set-up.ts";
import { Tunnel } from "./support/tunnel.ts";

/** The part of pg's connection that a CancelRequest is made of. */
interface CancelConnection {
	once(event: "connect", listener: () => void): void;
	connect(port: number, host: string): void;
	cancel(processID: number | undefined, secretKey: number | undefined): void;
}

async function expectInherited(promise: Promise<unknown>): Promise<void> {
	const error = await rejection(promise);
	expect(error).to.be.instanceOf(InheritedConnectionError).and.to.include({ code: "ERR_FORKSAFE_INHERITED" });
}

async function isBusy(pid: number | undefined): Promise<boolean> {
	const [row] = await ask<{ state: string }>("select state from pg_stat_activity where pid = $1", [pid]);
	return row?.state === "active";
}

function untilClosed(client: Client): Promise<void> {
	return untilTrue(() => client.connection.stream.closed, { what: "the socket has closed" });
}

describe("Client", () => {
	it("is a pg.Client that connects, asks and ends, with promises and with callbacks", async () => {
		const promised = new Client({ connectionString: databaseUrl() });
		expect(promised).to.be.instanceOf(pg.Client);
		expect(await promised.connect()).to.equal(promised);
		expect((await promised.query("select $1::int as n", [5])).rows).to.deep.equal([{ n: 5 }]);
		await promised.end();

		const called = new Client(databaseUrl());
		const rows = await new Promise((resolve, reject) =>
			called.connect((failure: Error | null) =>
				failure
					? reject(failure)
					: called.query("select 6 as n", (error, result) => (error ? reject(error) : resolve(result.rows))),
			),
		);
		expect(rows).to.deep.equal([{ n: 6 }]);
		await new Promise<void>((resolve) => called.end(() => resolve()));
		expect((await rejection(called.query("select 1"))).message).to.include("not queryable");
	});

	it("ends over a stream of the application's own that has nothing to do at its end", async () => {
		const client = new Client({ connectionString: databaseUrl(), stream: () => new Tunnel() } as ClientConfig);
		await client.connect();
		await client.query("select 1");
		await client.end();
	});

	it("says goodbye to the server when it ends", async () => {
		const applicationName = uniqueName();
		const client = await openClient({ application_name: applicationName });
		await untilSessions(applicationName, 1);
		await client.end();
		await untilSessions(applicationName, 0);
	});

	it("asks TCP to keep the connection alive, unless it is told not to", async () => {
		const asked = async (config: ClientConfig): Promise<unknown[]> => {
			const calls: unknown[] = [];
			const stream = (): Socket => {
				const socket = new Socket();
				socket.setKeepAlive = (enable) => {
					calls.push(enable);
					return socket;
				};
				return socket;
			};
			await openClient({ ...config, stream } as ClientConfig);
			return calls;
		};
		expect(await asked({})).to.deep.equal([true]);
		expect(await asked({ keepAlive: true, keepAliveInitialDelayMillis: 5 })).to.deep.equal([true]);
		expect(await asked({ keepAlive: false })).to.deep.equal([]);
	});

	it("is broken as soon as the server has said that it ends the session", async () => {
		const client = await openClient();
		client.on("error", () => {});
		await rejection(client.query("select 1 / 0"));
		expect(client.isBroken).to.equal(false);
		let wasBroken: boolean | undefined;
		await client.query("select pg_terminate_backend(pg_backend_pid())").catch(() => {
			wasBroken = client.isBroken;
		});
		expect(wasBroken).to.equal(true);
	});

	it("rejects connect with the driver's own error", async () => {
		expect((await rejection(new Client({ host: "127.0.0.1", port: 1 }).connect())).code).to.equal("ECONNREFUSED");
		const called = new Client({ host: "127.0.0.1", port: 1 });
		const error = await new Promise((resolve) => called.connect(resolve as () => void));
		expect(error).to.have.property("code", "ECONNREFUSED");
	});

	it("knows the key to cancel its query, and another client can use it", async () => {
		const client = await openClient();
		const [row] = (await client.query("select pg_backend_pid() as pid")).rows;
		expect(client.processID).to.equal(row.pid);
		expect(client.secretKey).to.be.a("number");

		const running = rejection(client.query("select pg_sleep(60)"));
		const { host, port, processID, secretKey } = client;
		await untilTrue(() => isBusy(processID), { what: "the query runs" });
		const canceller = new pg.Connection() as unknown as CancelConnection;
		canceller.once("connect", () => canceller.cancel(processID, secretKey));
		canceller.connect(port, host);
		expect((await running).code).to.equal("57014");
		await client.query("select 1");
	});

	it("runs named statements, cursors, transactions and pipelines as pg's client does", async () => {
		const client = await openClient();
		const named = { name: "sum", text: "select $1::int + $2::int as sum" };
		for (const n of [1, 2]) expect((await client.query({ ...named, values: [n, n] })).rows).to.deep.equal([{ sum: 2 * n }]);
		const cursor = client.query(new Cursor("select * from generate_series(1, 5) as n"));
		expect(await cursor.read(2)).to.deep.equal([{ n: 1 }, { n: 2 }]);
		await cursor.close();
		await client.query("begin");
		await client.query("rollback");

		const pipelined = await openClient({ pipeline: true } as pg.ClientConfig);
		const results = await Promise.all([1, 2, 3].map((n) => pipelined.query("select $1::int as n", [n])));
		expect(results.map(({ rows }) => rows[0].n)).to.deep.equal([1, 2, 3]);
	});

	it("belongs to the process that connects it, whoever made it", async () => {
		const client = new Client({ connectionString: databaseUrl() });
		pretendFork();
		expect(client.isInherited()).to.equal(false);
		afterThisTest(() => client.end());
		await client.connect();
		expect(client.isInherited()).to.equal(false);
		await client.query("select 1");
	});

	it("hears of no change that comes after its end", async () => {
		const client = await openClient();
		await client.end();
		await settle();
		pretendFork();
		expect(client.isDiscarded).to.equal(false);
	});
});

describe("a client after a process change", () => {
	it("rejects every query, with a promise, a callback and a query object", async () => {
		const client = await openClient();
		const change = pretendFork();
		expect(client).to.include({ isDiscarded: true });
		expect(client.isInherited()).to.equal(true);
		const error = await rejection(client.query("select 1"));
		expect(error).to.be.instanceOf(InheritedConnectionError).with.property("change", change);
		await expectInherited(client.query("select $1::int", [1]));
		await expectInherited(client.query({ name: "named", text: "select 1" }));
		await expectInherited(
			new Promise((resolve, reject) => client.query("select 1", (failure) => (failure ? reject(failure) : resolve(0)))),
		);
		await expectInherited(
			new Promise((resolve, reject) => client.query(new pg.Query("select 1")).on("error", reject).on("end", resolve)),
		);
	});

	it("rejects the running query and those behind it, in their order", async () => {
		const client = await openClient();
		const order: number[] = [];
		const queries = [0, 1, 2].map((n) => rejection(client.query("select pg_sleep(60)")).finally(() => order.push(n)));
		pretendFork();
		for (const query of queries) expect(await query).to.be.instanceOf(InheritedConnectionError);
		expect(order).to.deep.equal([0, 1, 2]);
	});

	it("gives each query an error of its own, for whoever gets it may write into it", async () => {
		const client = await openClient();
		const queries = [client.query("select pg_sleep(60)"), client.query("select 1")].map(rejection);
		pretendFork();
		const errors = await Promise.all([...queries, rejection(client.query("select 2")), rejection(client.query("select 3"))]);
		for (const error of errors) error.message = `secret - ${error.message}`;
		expect(new Set(errors).size).to.equal(4);
		expect((await rejection(client.query("select 4"))).message).not.to.include("secret");
	});

	it("rejects what is in a pipeline, sent or not", async () => {
		const client = await openClient({ pipeline: true } as pg.ClientConfig);
		const queries = ["select pg_sleep(60)", "select 1", "select 2"].map((text) => rejection(client.query(text)));
		pretendFork();
		for (const query of [...queries, rejection(client.query("select 3"))]) {
			expect(await query).to.be.instanceOf(InheritedConnectionError);
		}
	});

	it("rejects a statement that was prepared under a name before", async () => {
		const client = await openClient();
		const named = { name: "sum", text: "select $1::int + 1 as sum", values: [1] };
		await client.query(named);
		pretendFork();
		await expectInherited(client.query(named));
	});

	it("rejects the rest of a transaction, which the server rolls back when the last copy of the socket has gone", async () => {
		const table = `t${uniqueName().replaceAll("-", "")}`;
		const applicationName = uniqueName();
		await ask(`create table ${table} (n int)`);
		afterThisTest(() => ask(`drop table ${table}`));
		const client = await openClient({ application_name: applicationName });
		await client.query("begin");
		await client.query(`insert into ${table} values (1)`);
		forkUnnoticed();
		await expectInherited(client.query("commit"));
		await untilSessions(applicationName, 0);
		expect(await ask(`select * from ${table}`)).to.deep.equal([]);
	});

	it("ends at once, as often as it is asked to", async () => {
		const client = await openClient();
		pretendFork();
		await client.end();
		await new Promise<void>((resolve) => client.end(() => resolve()));
		await untilClosed(client);
		await client.end();
	});

	it("has no cancel key, under any name", async () => {
		const client = await openClient();
		const key = [client.processID, client.secretKey].map(String);
		expect(inspect(client, { showHidden: true, depth: 0 })).to.include(key[0] as string);
		pretendFork();
		expect(client.processID).to.equal(undefined);
		expect(client.secretKey).to.equal(undefined);
		const shown = inspect(client, { showHidden: true, depth: 0 });
		for (const number of key) expect(shown).not.to.match(new RegExp(`\\b${number}\\b`));
	});

	it("gives no half of its cancel key away, although nobody has noticed the fork yet", async () => {
		for (const half of ["processID", "secretKey"] as const) {
			const client = await openClient();
			expect(client[half]).to.be.a("number");
			const fake = new FakeProcess();
			try {
				fake.fork(4_000_000, 3_999_999);
				expect(client.isDiscarded).to.equal(false);
				expect(client[half]).to.equal(undefined);
			} finally {
				fake.restore();
			}
		}
	});

	it("says so to a listener for errors, once, although it is discarded again", async () => {
		const client = await openClient();
		await client.query("listen news");
		const errors: Error[] = [];
		client.on("error", (error) => errors.push(error));
		const change = pretendFork();
		client.discard(change);
		expect(errors).to.deep.equal([]);
		await untilClosed(client);
		pretendFork();
		await settle();
		expect(errors).to.have.lengthOf(1);
		expect(errors[0]).to.be.instanceOf(InheritedConnectionError).with.property("change", change);
	});

	it("throws nothing at a process that does not listen, and emits its end", async () => {
		const client = await openClient();
		await client.query("listen news");
		let ends = 0;
		client.on("end", () => ends++);
		pretendFork();
		await untilTrue(() => ends > 0, { what: "the end was emitted" });
		await settle();
		expect(ends).to.equal(1);
	});

	it("rejects a connect that was under way", async () => {
		const proxy = await new PostgresProxy().start();
		proxy.isSilent = true;
		const client = new Client({ connectionString: proxy.urlOf(), connectionTimeoutMillis: 400 });
		const errors: Error[] = [];
		client.on("error", (error) => errors.push(error));
		const connecting = rejection(client.connect());
		await untilTrue(() => proxy.bytes > 0, { what: "the start-up message has arrived" });
		pretendFork();
		expect(await connecting).to.be.instanceOf(InheritedConnectionError);
		await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
		await settle();
		expect(errors).to.have.lengthOf(1);
	});

	it("cannot be connected again", async () => {
		const client = await openClient();
		pretendFork();
		await expectInherited(client.connect());
		await expectInherited(
			new Promise((resolve, reject) => client.connect((failure: Error | null) => (failure ? reject(failure) : resolve(0)))),
		);
		await expectInherited(client.query("select 1"));
	});
});

describe("a cursor after a process change", () => {
	for (const [when, prepare] of [
		["between two reads", async (cursor: Cursor) => void (await cursor.read(1))],
		["before the first read", async () => {}],
	] as const) {
		it(`rejects the next read and can be closed, ${when}`, async () => {
			const client = await openClient();
			const cursor = client.query(new Cursor("select * from generate_series(1, 5)"));
			await prepare(cursor);
			pretendFork();
			await settle();
			await expectInherited(cursor.read(1));
			await cursor.close();
			await cursor.close();
		});
	}

	it("rejects the read that is under way", async () => {
		const client = await openClient();
		const cursor = client.query(new Cursor("select pg_sleep(60)"));
		const reading = rejection(cursor.read(1));
		pretendFork();
		expect(await reading).to.be.instanceOf(InheritedConnectionError);
		await cursor.close();
	});

	it("whose close is under way is closed", async () => {
		const client = await openClient();
		const cursor = client.query(new Cursor("select * from generate_series(1, 5)"));
		await cursor.read(1);
		const closing = cursor.close();
		pretendFork();
		await closing;
	});

	it("that is asked for only now rejects its read", async () => {
		const client = await openClient();
		pretendFork();
		const cursor = client.query(new Cursor("select 1"));
		await expectInherited(cursor.read(1));
		await cursor.close();
	});

	it("of a pool's client leaves the pool alone", async () => {
		const pool = openPool();
		const client = await pool.connect();
		const cursor = client.query(new Cursor("select * from generate_series(1, 5)"));
		await cursor.read(1);
		pretendFork();
		await cursor.close();
		client.release();
		expect(pool).to.include({ totalCount: 0, idleCount: 0 });
		await pool.query("select 1");
	});
});
