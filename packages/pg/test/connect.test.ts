import { AsyncLocalStorage } from "node:async_hooks";
import { expect } from "chai";
import pg from "pg";
import Cursor from "pg-cursor";
import QueryStream from "pg-query-stream";
import { runProgram } from "../../../test/support/program.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { scoped } from "../../../test/support/scoped.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { Client, Pool, type PoolClient, type PoolConfig } from "../src/index.ts";
import { databaseUrl, untilSessions } from "./support/database.ts";
import { openPool, uniqueName } from "./support/set-up.ts";
import { Tunnel } from "./support/tunnel.ts";

/** What a callback of `connect` was called with. */
function connectByCallback(pool: pg.Pool): Promise<[unknown, pg.PoolClient | undefined, (release?: Error | boolean) => void]> {
	return new Promise((resolve) => pool.connect((...args) => resolve(args)));
}

describe("Pool", () => {
	it("is a pg.Pool, with pg's options and a client class that is a pg.Client", () => {
		const config = { max: 3, password: "secret", application_name: "a" };
		const pool = new Pool(config);
		expect(pool).to.be.instanceOf(pg.Pool);
		expect(pool.Client).to.equal(Client);
		expect(pool.Client.prototype).to.be.instanceOf(pg.Client);
		expect({ ...pool.options }).to.deep.equal({ ...new pg.Pool(config).options });
		expect({ ...new Pool().options }).to.deep.equal({ ...new pg.Pool().options });
		expect(pool.options).to.include({ max: 3, password: "secret" });
		expect(Object.keys(pool.options)).not.to.include("password");
		expect(pool).to.include({ ending: false, ended: false, totalCount: 0 });
	});
});

describe("connect", () => {
	it("gives a client that works, as a promise", async () => {
		const pool = openPool();
		const client: PoolClient = await pool.connect();
		expect(client).to.be.instanceOf(Client);
		expect((await client.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
		client.release();
	});

	it("gives the client and a done that releases it to a callback, later and without a promise", async () => {
		const pool = openPool();
		let wasCalled = false;
		await pool.query("select 1");
		const returned: unknown = pool.connect((_error, _client, done) => {
			wasCalled = true;
			done();
		});
		expect(returned).to.equal(undefined);
		expect(wasCalled).to.equal(false);
		await untilTrue(() => wasCalled, { what: "the callback was called" });
		const [error, client, done] = await connectByCallback(pool);
		expect(error).to.equal(undefined);
		expect((await client?.query("select 2 as n"))?.rows).to.deep.equal([{ n: 2 }]);
		expect(pool).to.include({ totalCount: 1, idleCount: 0 });
		done();
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
	});

	for (const [how, isKept] of [
		[undefined, true],
		[false, true],
		[true, false],
		[new Error("of no use any more"), false],
	] as const) {
		it(`${isKept ? "keeps" : "closes"} a client that is given back with ${how} by done or by release`, async () => {
			const applicationName = uniqueName();
			const pool = openPool({ application_name: applicationName });
			const [, , done] = await connectByCallback(pool);
			done(how);
			expect(pool.totalCount).to.equal(isKept ? 1 : 0);
			(await pool.connect()).release(how);
			expect(pool.totalCount).to.equal(isKept ? 1 : 0);
			await untilSessions(applicationName, isKept ? 1 : 0);
		});
	}

	it("works over a stream of the application's own, which is no socket and keeps no process alive", async () => {
		const pool = openPool({ stream: () => new Tunnel() } as PoolConfig);
		for (let use = 0; use < 2; use++) expect((await pool.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
	});

	it("hands the client that was released last out again", async () => {
		const pool = openPool();
		const [first, second] = [await pool.connect(), await pool.connect()];
		second.release();
		first.release();
		const again = await pool.connect();
		expect(again).to.equal(first);
		again.release();
	});

	it("serves those who wait in the order in which they came", async () => {
		const pool = openPool({ max: 1 });
		const held = await pool.connect();
		const served: string[] = [];
		const promised = pool.connect().then((client) => {
			served.push("promise");
			client.release();
		});
		const called = connectByCallback(pool).then(([, , done]) => {
			served.push("callback");
			done();
		});
		expect(pool.waitingCount).to.equal(2);
		held.release();
		await Promise.all([promised, called]);
		expect(served).to.deep.equal(["promise", "callback"]);
	});

	it("fails when no client becomes free in time, in pg-pool's words and with the numbers as cause", async () => {
		const pool = openPool({ max: 1, connectionTimeoutMillis: 200 });
		const held = await pool.connect();
		const error = await rejection(pool.connect());
		expect(error.message).to.equal("timeout exceeded when trying to connect");
		expect(error.cause).to.include({ code: "ERR_FORKSAFE_ACQUIRE_TIMEOUT", phase: "wait" });
		const [calledWith, client, done] = await connectByCallback(pool);
		expect(calledWith).to.be.instanceOf(Error).with.property("message", "timeout exceeded when trying to connect");
		expect(client).to.equal(undefined);
		done(); // as harmless as pg-pool's
		expect(pool).to.include({ waitingCount: 0, totalCount: 1 });
		held.release();
		expect(pool.idleCount).to.equal(1);
	});

	it("is given up by its signal: it leaves the queue at once, and the client serves the next", async () => {
		const pool = openPool({ max: 1 });
		const held = await pool.connect();
		const [given, kept] = [new AbortController(), new AbortController()];
		const waiting = [pool.connect({ signal: given.signal }), pool.connect({ signal: kept.signal }), pool.connect({})];
		expect(pool.waitingCount).to.equal(3);
		const reason = new Error("nobody wants it any more");
		given.abort(reason);
		expect(pool.waitingCount).to.equal(2);
		expect(await rejection(waiting[0] as Promise<unknown>)).to.equal(reason);
		held.release();
		const client = (await waiting[1]) as PoolClient;
		expect(client).to.equal(held);
		kept.abort(); // too late
		expect((await client.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
		client.release();
		((await waiting[2]) as PoolClient).release();
		expect(pool).to.include({ totalCount: 1, idleCount: 1, waitingCount: 0 });
	});

	it("opens nothing for a signal that was aborted before, and takes an undefined one for none", async () => {
		const pool = openPool();
		const reason = new Error("too late");
		expect(await rejection(pool.connect({ signal: AbortSignal.abort(reason) }))).to.equal(reason);
		expect(pool.totalCount).to.equal(0);
		(await pool.connect({ signal: undefined })).release();
	});

	it("refuses options that do not exist, or are none", async () => {
		const pool = openPool();
		for (const [options, option] of [
			[{ signl: AbortSignal.abort() }, "signl"],
			[{ signal: "soon" }, "signal"],
			[5, "options"],
		] as const) {
			expect(await rejection(pool.connect(options as never))).to.include({ code: "ERR_FORKSAFE_OPTION", option });
		}
		expect(pool.totalCount).to.equal(0);
	});

	it("rejects more acquires than may wait", async () => {
		const pool = openPool({ max: 1, maxPending: 1 });
		const held = await pool.connect();
		const waiting = pool.connect();
		expect(await rejection(pool.connect())).to.include({ code: "ERR_FORKSAFE_QUEUE_FULL" });
		held.release();
		(await waiting).release();
	});
});

describe("query", () => {
	const answers = [{ n: 7 }];

	it("takes text, text with values, and a config object, and gives a promise", async () => {
		const pool = openPool();
		expect((await pool.query("select 7 as n")).rows).to.deep.equal(answers);
		expect((await pool.query("select $1::int as n", [7])).rows).to.deep.equal(answers);
		expect((await pool.query({ text: "select $1::int as n", values: [7] })).rows).to.deep.equal(answers);
		expect((await pool.query({ text: "select $1::int as n", rowMode: "array" }, [7])).rows).to.deep.equal([[7]]);
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
	});

	it("takes a callback in every form", async () => {
		const pool = openPool();
		type Callback = (error: Error, result: pg.QueryResult) => void;
		const rows = (ask: (callback: Callback) => void): Promise<unknown> =>
			new Promise((resolve, reject) => ask((error, result) => (error ? reject(error) : resolve(result.rows))));
		expect(await rows((callback) => pool.query("select 7 as n", callback))).to.deep.equal(answers);
		expect(await rows((callback) => pool.query("select $1::int as n", [7], callback))).to.deep.equal(answers);
		expect(await rows((callback) => pool.query({ text: "select 7 as n" }, callback))).to.deep.equal(answers);
		expect((await rejection(rows((callback) => pool.query("selec", callback)))).code).to.equal("42601");
	});

	it("takes a query object of pg", async () => {
		const pool = openPool();
		const query = new pg.Query<{ n: number }>("select 7 as n");
		const { rows } = (await (pool.query(query) as unknown as Promise<unknown>)) as pg.QueryResult;
		expect(rows).to.deep.equal(answers);
		expect(pool.idleCount).to.equal(1);
	});

	it("takes a cursor as pg's pool does: it can be read, and the client is the cursor's", async () => {
		const theirs = new pg.Pool({ connectionString: databaseUrl() });
		const told: unknown[][] = [];
		for (const pool of [theirs, openPool()]) {
			const cursor = new Cursor("select * from generate_series(1, 3) as n");
			const answered = follow(pool.query(cursor) as unknown as Promise<unknown>);
			await untilTrue(() => pool.totalCount === 1 && pool.waitingCount === 0, { what: "a client is there" });
			const read = await cursor.read(2);
			await cursor.close();
			told.push([read, answered.state, pool.totalCount, pool.idleCount]);
		}
		expect(told[1]).to.deep.equal(told[0]);
		expect(told[0]?.[0]).to.deep.equal([{ n: 1 }, { n: 2 }]);
	});

	it("takes a query stream as pg's pool does: it can be read, and the client comes back at its end", async () => {
		const theirs = new pg.Pool({ connectionString: databaseUrl() });
		for (const pool of [theirs, openPool()]) {
			const stream = new QueryStream("select * from generate_series(1, 250) as n");
			const answered = follow(pool.query(stream) as unknown as Promise<unknown>);
			const rows: unknown[] = await stream.toArray();
			expect(rows).to.have.lengthOf(250);
			await untilTrue(() => answered.state === "fulfilled", { what: "the query is answered" });
			expect(pool).to.include({ totalCount: 1, idleCount: 1 });
		}
		await theirs.end();
	});

	it("rejects with the server's own error", async () => {
		const pool = openPool();
		const error = await rejection(pool.query("select 1/0"));
		expect(error).to.be.instanceOf(pg.DatabaseError).with.property("code", "22012");
	});

	it("refuses a function in the place of the text, as pg-pool does", async () => {
		const pool = openPool();
		const error = await new Promise<Error>((resolve) =>
			(pool.query as (callback: (error: Error) => void) => void).call(pool, resolve),
		);
		expect(error.message).to.equal("Passing a function as the first parameter to pool.query is not supported");
		expect(pool.totalCount).to.equal(0);
	});
});

describe("the async context", () => {
	it("of whoever asked is there in the callbacks of connect, query and end", async () => {
		const storage = new AsyncLocalStorage<string>();
		const pool = openPool({ max: 1 });
		const held = await storage.run("the one who opened the connection", () => pool.connect());
		const seen: Record<string, unknown> = {};
		const called = [
			storage.run("connect", () => connectByCallback(pool).then(([, , done]) => done())),
			storage.run(
				"connect by callback",
				() =>
					new Promise<void>((resolve) =>
						pool.connect((_error, _client, done) => {
							seen["connect"] = storage.getStore();
							done();
							resolve();
						}),
					),
			),
			storage.run(
				"query by callback",
				() =>
					new Promise<void>((resolve) =>
						pool.query("select 1", () => {
							seen["query"] = storage.getStore();
							resolve();
						}),
					),
			),
		];
		held.release();
		await Promise.all(called);
		await storage.run(
			"end by callback",
			() =>
				new Promise<void>((resolve) =>
					pool.end(() => {
						seen["end"] = storage.getStore();
						resolve();
					}),
				),
		);
		expect(seen).to.deep.equal({ connect: "connect by callback", query: "query by callback", end: "end by callback" });
	});
});

describe("end", () => {
	it("closes all clients, as a promise and by callback, and says so", async () => {
		for (const end of [(pool: Pool) => pool.end(), (pool: Pool) => new Promise<void>((resolve) => pool.end(() => resolve()))]) {
			const applicationName = uniqueName();
			const pool = openPool({ application_name: applicationName });
			await Promise.all([pool.query("select 1"), pool.query("select 1")]);
			const ended = end(pool);
			expect(pool).to.include({ ending: true, ended: false });
			await ended;
			expect(pool).to.include({ ending: true, ended: true, totalCount: 0, idleCount: 0 });
			await untilSessions(applicationName, 0);
		}
	});

	it("waits for a client in use, whose query completes", async () => {
		const pool = openPool();
		const client = await pool.connect();
		let hasEnded = false;
		const ended = pool.end().then(() => {
			hasEnded = true;
		});
		expect((await client.query("select 3 as n")).rows).to.deep.equal([{ n: 3 }]);
		expect(hasEnded).to.equal(false);
		expect(pool).to.include({ ended: false, totalCount: 1 });
		client.release();
		await ended;
		expect(pool.totalCount).to.equal(0);
	});

	it("rejects who waits, and who comes later, in pg-pool's words", async () => {
		const words = "Cannot use a pool after calling end on the pool";
		const pool = openPool({ max: 1 });
		const client = await pool.connect();
		const waiting = rejection(pool.connect());
		const ended = pool.end();
		expect((await waiting).message).to.equal(words);
		expect((await waiting).cause).to.include({ code: "ERR_FORKSAFE_CLOSED" });
		expect((await rejection(pool.connect())).message).to.equal(words);
		expect((await rejection(pool.query("select 1"))).message).to.equal(words);
		expect((await connectByCallback(pool))[0])
			.to.be.instanceOf(Error)
			.with.property("message", words);
		client.release();
		await ended;
		expect((await rejection(pool.connect())).message).to.equal(words);
	});

	it("may be called once, as with pg-pool", async () => {
		const pool = openPool();
		await pool.end();
		expect((await rejection(pool.end())).message).to.equal("Called end on pool more than once");
		const error = await new Promise<unknown>((resolve) => pool.end(resolve as () => void));
		expect(error).to.be.instanceOf(Error).with.property("message", "Called end on pool more than once");
	});

	it("is what `await using` does at the end of the block, unless it was done there", async () => {
		const pool = openPool();
		await scoped(pool, (inBlock) => inBlock.query("select 1"));
		expect(pool).to.include({ ended: true, totalCount: 0 });
		await scoped(openPool(), (endedInBlock) => endedInBlock.end());
	});
});

describe("what a callback throws", () => {
	for (const method of ["connect", "query", "end"]) {
		it(`is an uncaught exception, as with pg's pool, in a callback of ${method}`, async () => {
			const run = (pool: string) =>
				runProgram(new URL("./programs/throwing-callback.ts", import.meta.url), {
					deadlineMillis: 8_000,
					args: [pool, method],
					env: { DATABASE_URL: databaseUrl() },
				});
			const [ours, theirs] = await Promise.all([run("forksafe"), run("pg")]);
			expect(ours.output).to.equal(`uncaughtException: thrown in a callback of ${method}\n`);
			expect(ours.output).to.equal(theirs.output);
			expect(ours.exitCode).to.equal(0);
		});
	}
});

describe("an unused pool", () => {
	it("has opened nothing", async () => {
		const applicationName = uniqueName();
		const pool = openPool({ application_name: applicationName, min: 2 });
		await settle();
		expect(pool.totalCount).to.equal(0);
		await untilSessions(applicationName, 0);
		await pool.end();
	});
});
