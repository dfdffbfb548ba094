import { InheritedConnectionError, ProcessChangedError } from "@forksafe/core";
import { expect } from "chai";
import mysql from "mysql2";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { runProgram } from "../../../test/support/program.ts";
import { follow, rejection, settle, thrown } from "../../../test/support/promises.ts";
import { scoped } from "../../../test/support/scoped.ts";
import { mariadbUrl } from "../../../test/support/server-urls.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { createPool, Pool } from "../src/index.ts";
import { ended, openPool, sessionOf, subjects, take } from "./support/pools.ts";
import { MariadbProxy } from "./support/proxy.ts";
import { ask, createUser, forkUnnoticed, untilGone, untilRuns } from "./support/set-up.ts";

for (const { name, open } of subjects) {
	describe(`what mysql2 documents of its pool, over ${name}`, () => {
		it("runs queries, statements and everything with promises", async () => {
			const pool = open();
			const rows = await new Promise((resolve, reject) =>
				pool.query("select ? as n", [1], (error, result) => (error ? reject(error) : resolve(result))),
			);
			expect(rows).to.deep.equal([{ n: 1 }]);
			expect((await pool.promise().query("select ? as n", [2]))[0]).to.deep.equal([{ n: 2 }]);
			expect((await pool.promise().execute("select ? as n", ["3"]))[0]).to.deep.equal([{ n: "3" }]);
			const connection = await pool.promise().getConnection();
			expect((await connection.query("select 4 as n"))[0]).to.deep.equal([{ n: 4 }]);
			connection.release();
			expect(pool.format("select ?", ["it's"])).to.equal("select 'it\\'s'");
			expect(pool).to.be.instanceOf((mysql as unknown as { Pool: typeof Pool }).Pool);
		});

		it("streams the rows of a query, and has the connection back", async () => {
			const pool = open({ connectionLimit: 1 });
			const rows: unknown[] = [];
			for await (const row of pool.query("select seq from seq_1_to_100").stream()) rows.push(row);
			expect(rows).to.have.lengthOf(100);
			expect(await sessionOf(pool)).to.be.a("number");
		});

		it("serves who waits in their order, on the connections that come back", async () => {
			const pool = open({ connectionLimit: 1 });
			const connection = await take(pool);
			const session = await sessionOf(connection);
			const order: number[] = [];
			const waiting = [1, 2, 3].map(async (n) => {
				const own = await take(pool);
				order.push(n);
				expect(await sessionOf(own)).to.equal(session);
				own.release();
			});
			await settle();
			expect(order).to.deep.equal([]);
			connection.release();
			await Promise.all(waiting);
			expect(order).to.deep.equal([1, 2, 3]);
		});

		it("has a connection that was released twice once", async () => {
			const pool = open({ connectionLimit: 2 });
			const connection = await take(pool);
			connection.release();
			connection.release();
			const [one, other] = [await take(pool), await take(pool)];
			expect(one).not.to.equal(other);
			one.release();
			other.release();
		});

		it("refuses with waitForConnections: false, and by queueLimit", async () => {
			const refusing = open({ connectionLimit: 1, waitForConnections: false });
			const connection = await take(refusing);
			expect(await rejection(take(refusing))).to.have.property("message", "No connections available.");
			connection.release();
			(await take(refusing)).release();

			const limited = open({ connectionLimit: 1, queueLimit: 1 });
			const held = await take(limited);
			const waits = take(limited);
			expect(await rejection(take(limited))).to.have.property("message", "Queue limit reached.");
			held.release();
			(await waits).release();
		});

		it("closes every session by end(), and refuses afterwards", async () => {
			const pool = open();
			const session = await sessionOf(pool);
			await ended(pool);
			await untilGone(session);
			expect(await rejection(take(pool))).to.have.property("message", "Pool is closed.");
		});

		it("tells of connections, of who takes and gives them, and of who waits", async () => {
			const pool = open({ connectionLimit: 1 });
			const told: string[] = [];
			for (const event of ["connection", "acquire", "release", "enqueue"]) pool.on(event, () => told.push(event));
			const connection = await take(pool);
			const waits = take(pool);
			await settle();
			expect(told).to.deep.equal(["connection", "acquire", "enqueue"]);
			connection.release();
			(await waits).release();
			expect(told.slice(-1)).to.deep.equal(["release"]);
		});

		it("sets a new connection up by what `connection` queries first", async () => {
			const pool = open({ connectionLimit: 1 });
			pool.on("connection", (connection) => connection.query("set @prepared = 7"));
			expect((await pool.promise().query("select @prepared as n"))[0]).to.deep.equal([{ n: 7 }]);
		});

		it("has room again when a connection was destroyed", async () => {
			const pool = open({ connectionLimit: 1 });
			const connection = await take(pool);
			const session = await sessionOf(connection);
			connection.destroy();
			expect(await sessionOf(pool)).not.to.equal(session);
			await untilGone(session);
		});

		it("forgets what a session has set with resetOnRelease, and keeps the session", async () => {
			const pool = open({ connectionLimit: 1, resetOnRelease: true });
			const connection = await take(pool);
			const session = await sessionOf(connection);
			await connection.promise().query("set @left = 1");
			connection.release();
			expect((await pool.promise().query("select @left as n"))[0]).to.deep.equal([{ n: null }]);
			expect(await sessionOf(pool)).to.equal(session);
		});

		it("keeps what changeUser has changed to its own connection", async () => {
			const { user, password } = await createUser();
			const pool = open({ connectionLimit: 2 });
			const [changed, other] = [await take(pool), await take(pool)];
			await changed.promise().changeUser({ user: user as string, password: password as string });
			const userOf = async (connection: mysql.PoolConnection): Promise<unknown> =>
				(await connection.promise().query("select substring_index(user(), '@', 1) as name"))[0];
			expect(await userOf(changed)).to.deep.equal([{ name: user }]);
			expect(await userOf(other)).to.deep.equal([{ name: "forksafe" }]);
			other.destroy();
			const next = await take(pool);
			expect(await userOf(next)).to.deep.equal([{ name: "forksafe" }]);
			next.release();
			changed.destroy();
		});

		it("tells who asks why no connection could be opened", async () => {
			const wrong = open({ ...(await createUser()), password: "wrong" });
			expect(await rejection(take(wrong))).to.include({ code: "ER_ACCESS_DENIED_ERROR", errno: 1045 });
			const absent = open({ uri: "mysql://forksafe@127.0.0.1:1/forksafe" }); // nobody is there
			expect(await rejection(take(absent))).to.include({ code: "ECONNREFUSED" });
		});

		it("goes on when a session was killed, idle or in use", async () => {
			const pool = open({ connectionLimit: 1 });
			await ask("kill ?", [await sessionOf(pool)]);
			const goesOn = (): Promise<boolean> =>
				sessionOf(pool).then(
					() => true,
					() => false,
				);
			await untilTrue(goesOn, { what: "it goes on" });
		});
	});
}

describe("Pool of @forksafe/mysql2", () => {
	it("takes a url, with options in its query", async () => {
		const pool = createPool(`${mariadbUrl("TCP")}?connectionLimit=3`);
		expect(await sessionOf(pool)).to.be.a("number");
		expect(pool.stats()).to.include({ max: 3, idle: 1 });
		await ended(pool);
	});

	for (const [options, message] of [
		[{ connectionLimitt: 1 }, "option connectionLimitt (1) does not exist; did you mean connectionLimit?"],
		[{ connectionLimit: "3" }, 'option connectionLimit ("3") must be a whole number, 0 or more'],
		[{ password: 1234 }, "option password (1234) must be a string"],
		[{ pasword: "secret" }, "option pasword (a string of 6 characters) does not exist; did you mean password?"],
		[{ validateAfterIdleMillis: -1 }, /^option validateAfterIdleMillis \(-1\) must be a number of milliseconds/],
		[{ allowExitOnIdle: 1 }, "option allowExitOnIdle (1) must be true or false"],
		[{ min: 3, connectionLimit: 2 }, "option min (3) must not be above max (2)"],
	] as [object, string | RegExp][]) {
		it(`refuses ${Object.keys(options).join(" with ")}: ${message}`, () => {
			const error = thrown(() => new Pool(options));
			expect(error).to.include({ name: "OptionError", code: "ERR_FORKSAFE_OPTION" });
			if (typeof message === "string") expect(error.message).to.equal(message);
			else expect(error.message).to.match(message);
		});
	}

	it("tells who waits for too long how full it is", async () => {
		const pool = openPool({ connectionLimit: 1, acquireTimeoutMillis: 50 });
		const connection = await take(pool);
		const error = await rejection(take(pool));
		expect(error).to.include({ code: "ERR_FORKSAFE_ACQUIRE_TIMEOUT" });
		expect(error.message).to.include("max 1: 1 used");
		connection.release();
	});

	it("lets who waits give up by a signal, and leave the queue at once", async () => {
		const pool = openPool({ connectionLimit: 1 });
		const connection = await take(pool);
		const controller = new AbortController();
		const { signal } = controller;
		const given = new Promise((resolve) => pool.getConnection((error) => resolve(error), { signal }));
		expect(pool.stats().pending).to.equal(1);
		const reason = new Error("never mind");
		controller.abort(reason);
		expect(pool.stats().pending).to.equal(0);
		expect(await given).to.equal(reason);
		connection.release();
		const misspelt = { singal: signal };
		expect(thrown(() => pool.getConnection(() => {}, misspelt as object))).to.include({ code: "ERR_FORKSAFE_OPTION" });
	});

	it("waits in end() for connections in use, and has closed every socket when it calls back", async () => {
		const pool = openPool({ connectionLimit: 2 });
		const [held, idle] = [await take(pool), await take(pool)];
		const sessions = [await sessionOf(held), await sessionOf(idle)];
		idle.release();
		const ending = follow(ended(pool));
		const again = follow(ended(pool));
		await settle();
		expect(await sessionOf(held)).to.equal(sessions[0]);
		expect([ending.state, again.state]).to.deep.equal(["pending", "pending"]);
		held.release();
		await untilTrue(() => ending.state === "fulfilled" && again.state === "fulfilled", { what: "it has ended" });
		for (const session of sessions) await untilGone(session);
	});

	it("is ended by `await using`", async () => {
		const session = await scoped(createPool(mariadbUrl("TCP")), sessionOf);
		await untilGone(session);
	});

	it("keeps maxIdle connections when they come back", async () => {
		const pool = openPool({ connectionLimit: 3, maxIdle: 1 });
		const all = [await take(pool), await take(pool), await take(pool)];
		for (const connection of all) connection.release();
		await untilTrue(() => pool.stats().total === 1, { what: "the others are closed" });
		expect(pool.stats().idle).to.equal(1);
	});

	it("tells of a connection that is released when it is in the pool already", async () => {
		const pool = openPool();
		const connection = await take(pool);
		pool.releaseConnection(connection);
		expect(thrown(() => pool.releaseConnection(connection))).to.include({ code: "ERR_FORKSAFE_RELEASE" });
	});

	it("hands out a living connection when idle ones were killed without a word heard yet", async () => {
		const pool = openPool({ connectionLimit: 2 });
		const all = [await take(pool), await take(pool)];
		const sessions = [await sessionOf(all[0] as never), await sessionOf(all[1] as never)];
		for (const connection of all) connection.release();
		for (const session of sessions) await ask("kill ?", [session]);
		Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); // the server closes them meanwhile
		expect(sessions).not.to.include(await sessionOf(pool));
	});

	it("frees the place of a connection whose session ends while it is in use", async () => {
		const pool = openPool({ connectionLimit: 1 });
		const connection = await take(pool);
		await ask("kill ?", [await sessionOf(connection)]);
		expect(await sessionOf(pool)).to.be.a("number");
		connection.release();
		expect(pool.stats().total).to.equal(1);
	});

	it("replaces every connection by evict(), and when one hears that the server is read only", async () => {
		const pool = openPool(await createUser());
		const [used, idle] = [await take(pool), await take(pool)];
		idle.release();
		pool.evict();
		await untilTrue(() => pool.stats().total === 1, { what: "the idle one is closed" });
		used.release();
		const [writing, other] = [await take(pool), await take(pool)];
		other.release();
		expect(pool.stats()).to.include({ used: 1, idle: 1 });
		await ask("set global read_only = 1");
		try {
			const error = await rejection(writing.promise().query("create table never (id int)"));
			expect(error).to.include({ code: "ER_OPTION_PREVENTS_STATEMENT" });
			await untilTrue(() => pool.stats().idle === 0, { what: "the idle one is closed" });
		} finally {
			await ask("set global read_only = 0");
		}
		writing.release();
		await untilTrue(() => pool.stats().total === 0, { what: "the used one is closed when it comes back" });
	});

	it("has no session while it is suspended, and serves who waits when it is resumed", async () => {
		const pool = openPool({ connectionLimit: 1 });
		const connection = await take(pool);
		const session = await sessionOf(connection);
		const suspended = pool.suspend();
		const waits = follow(sessionOf(pool));
		connection.release();
		await suspended;
		await untilGone(session);
		expect(waits.state).to.equal("pending");
		const refuses = openPool({ waitForConnections: false });
		await refuses.suspend();
		expect(await rejection(take(refuses))).to.have.property("message", "No connections available.");
		pool.resume();
		await untilTrue(() => waits.state !== "pending", { what: "the answer to who has waited" });
		expect(waits.value).to.be.a("number").that.does.not.equal(session);
	});

	it("closes a connection whose reset gets no answer", async () => {
		const proxy = await new MariadbProxy().start();
		const pool = openPool({ uri: proxy.urlOf(), resetOnRelease: true, validateTimeoutMillis: 50 });
		const connection = await take(pool);
		proxy.silentAfter = 0;
		connection.release();
		await untilTrue(() => pool.stats().total === 0, { what: "it is closed" });
		await proxy.stop();
	});

	it("frees the place of a connection that is destroyed while its reset gets no answer", async () => {
		const proxy = await new MariadbProxy().start();
		const pool = openPool({
			uri: proxy.urlOf(),
			connectionLimit: 1,
			resetOnRelease: true,
			validateTimeoutMillis: 50,
		});
		const connection = await take(pool);
		proxy.silentAfter = 0;
		connection.release();
		connection.destroy();
		await untilTrue(() => pool.stats().total === 0, { what: "its place is free" });
		await proxy.stop();
	});

	it("gives a connect up that gets no answer when it is ended", async () => {
		const proxy = await new MariadbProxy().start();
		proxy.isSilent = true;
		const pool = openPool({ uri: proxy.urlOf(), connectTimeout: 60_000 });
		const waits = rejection(take(pool));
		await untilTrue(() => proxy.open === 1, { what: "it connects" });
		await ended(pool);
		expect(await waits).to.have.property("message", "Pool is closed.");
		await untilTrue(() => proxy.open === 0, { what: "the socket is closed" });
		await proxy.stop();
	});

	it("throws no error of a connection that was destroyed at who does not listen", async () => {
		const pool = openPool();
		const connection = await take(pool);
		connection.destroy();
		for (const _ of [1, 2, 3]) connection.query("select 1");
		await settle();
		expect(await sessionOf(pool)).to.be.a("number");
	});

	for (const [options, output] of [
		[{}, "asked\n"],
		[{ allowExitOnIdle: false }, "asked\nthe loop is alive\n"],
	] as const) {
		it(`lets the process exit or not while a connection is idle, with ${JSON.stringify(options)}`, async () => {
			const program = new URL("./programs/idle-pool.ts", import.meta.url);
			const result = await runProgram(program, { deadlineMillis: 8_000, args: [JSON.stringify(options)] });
			expect(result).to.include({ output, exitCode: 0 });
		});
	}

	describe("after a process change", () => {
		for (const [processWatch, notices] of [
			["once", false],
			["always", true],
		] as const) {
			it(`new connections ${notices ? "look" : "do not look"} for another one with processWatch: ${processWatch}`, async () => {
				const pool = openPool({ processWatch });
				await sessionOf(pool);
				pretendFork();
				const connection = await take(pool);
				forkUnnoticed();
				expect(connection.isInherited()).to.equal(notices);
				connection.release();
			});
		}

		it("a query runs on a connection of the new process, and the old one is forgotten", async () => {
			const pool = openPool();
			const before = await sessionOf(pool);
			pretendFork();
			expect(pool.stats().total).to.equal(0);
			expect(await sessionOf(pool)).not.to.equal(before);
		});

		it("who has a connection is told that it is inherited, and may release and destroy it", async () => {
			const pool = openPool({ connectionLimit: 1 });
			const connection = await take(pool);
			const running = follow(connection.promise().query("select sleep(60)"));
			await untilRuns(connection.threadId as number, "select sleep");
			const waits = follow(take(pool));
			await settle();
			pretendFork();
			await settle();
			expect(running.reason).to.be.instanceOf(InheritedConnectionError);
			expect(waits.reason).to.be.instanceOf(ProcessChangedError);
			expect(await rejection(sessionOf(connection))).to.include({ code: "ERR_FORKSAFE_INHERITED" });
			expect(connection.threadId).to.equal(null);
			connection.release();
			connection.destroy();
			pool.releaseConnection(connection);
			await settle();
			expect(pool.stats()).to.include({ total: 0 });
			expect(await sessionOf(pool)).to.be.a("number");
			expect(pool.stats()).to.include({ total: 1, idle: 1 });
		});

		it("a connection that was given back with resetOnRelease changes nothing", async () => {
			const pool = openPool({ connectionLimit: 1, resetOnRelease: true });
			const connection = await take(pool);
			pretendFork();
			connection.release();
			expect(await sessionOf(pool)).to.be.a("number");
			expect(pool.stats()).to.include({ total: 1 });
		});
	});
});
