import { InheritedConnectionError, type ProcessChange, ProcessChangedError } from "@forksafe/core";
import { expect } from "chai";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import type { Pool, PoolClient, PoolConfig } from "../src/index.ts";
import { PostgresProxy } from "./support/proxy.ts";
import { afterThisTest, openPool } from "./support/set-up.ts";

const CHILD = 4_000_000;

function pretend(): FakeProcess {
	const fake = new FakeProcess();
	afterThisTest(async () => fake.restore());
	return fake;
}

async function backendPid(pool: Pool): Promise<number> {
	const { rows } = await pool.query<{ pid: number }>("select pg_backend_pid() as pid");
	return rows[0]?.pid as number;
}

describe("a pool after a process change", () => {
	it("starts afresh: no client, no waiter, and the next one is opened by this process", async () => {
		const pool = openPool({ max: 2 });
		const before = await backendPid(pool);
		const held = [await pool.connect(), await pool.connect()];
		const waiting = rejection(pool.connect());
		pretendFork();
		expect(pool).to.include({ totalCount: 0, idleCount: 0, waitingCount: 0, ended: false });
		expect(await waiting)
			.to.be.instanceOf(ProcessChangedError)
			.and.to.include({ code: "ERR_FORKSAFE_PROCESS_CHANGED" });
		expect(await backendPid(pool)).not.to.equal(before);
		for (const client of held) client.release();
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
	});

	it("is noticed by the next connect, when nobody has reported it", async () => {
		const pool = openPool();
		const client = await pool.connect();
		client.release();
		pretend().fork(CHILD, process.pid);
		expect(client.isDiscarded).to.equal(false);
		const own = await pool.connect();
		expect(own).not.to.equal(client);
		expect(client.isDiscarded).to.equal(true);
		await own.query("select 1");
		own.release();
		expect(pool.totalCount).to.equal(1);
	});

	it("rejects a query of the pool that was running, and does not run it again", async () => {
		const pool = openPool();
		const running = rejection(pool.query("select pg_sleep(60)"));
		await untilTrue(() => pool.totalCount === 1 && pool.waitingCount === 0, { what: "a client is there" });
		pretendFork();
		const error = await running;
		expect([InheritedConnectionError, ProcessChangedError].some((kind) => error instanceof kind)).to.equal(true);
		expect(pool.totalCount).to.equal(0);
	});

	it("tells the callbacks of connect and of query", async () => {
		const pool = openPool({ max: 1 });
		const held = await pool.connect();
		const called = [
			new Promise((resolve) => pool.connect((error) => resolve(error))),
			new Promise((resolve) => pool.query("select 1", (error) => resolve(error))),
		];
		pretendFork();
		for (const error of await Promise.all(called)) expect(error).to.be.instanceOf(ProcessChangedError);
		held.release();
	});

	it("rejects a connect that was under way, and its socket is closed", async () => {
		const proxy = await new PostgresProxy().start();
		proxy.isSilent = true;
		const pool = openPool({ connectionString: proxy.urlOf() });
		const connecting = rejection(pool.connect());
		await untilTrue(() => proxy.bytes > 0, { what: "the start-up message has arrived" });
		const { bytes } = proxy;
		pretendFork();
		expect(await connecting).to.be.instanceOf(ProcessChangedError);
		await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
		expect(proxy.bytes).to.equal(bytes);
		proxy.isSilent = false;
		await pool.query("select 1");
	});

	it("opens no connection for a set-up that was under way, and forgets the one that it was for", async () => {
		let go = (): void => {};
		const clients: PoolClient[] = [];
		const pool = openPool({
			onConnect: async (client) => {
				clients.push(client as PoolClient);
				await new Promise<void>((resolve) => {
					go = resolve;
				});
			},
		});
		const connecting = rejection(pool.connect());
		await untilTrue(() => clients.length === 1, { what: "the set-up has begun" });
		pretendFork();
		go();
		expect(await connecting).to.be.instanceOf(ProcessChangedError);
		await settle();
		expect(clients[0]?.isDiscarded).to.equal(true);
		expect(pool.totalCount).to.equal(0);
	});

	it("ignores the release of an inherited client in every form, how often ever", async () => {
		const pool = openPool();
		const [client, done] = await new Promise<[PoolClient, (error?: Error | boolean) => void]>((resolve) =>
			pool.connect((_error, connected, release) => resolve([connected as PoolClient, release])),
		);
		const events: string[] = [];
		for (const event of ["connect", "acquire", "remove", "release", "error"]) {
			pool.on(event as "connect", () => events.push(event));
		}
		pretendFork();
		const own = await pool.connect();
		events.length = 0;
		for (const how of [undefined, true, new Error("late")]) {
			client.release(how);
			done(how);
		}
		await settle();
		expect(events).to.deep.equal([]);
		expect(pool).to.include({ totalCount: 1, idleCount: 0 });
		own.release();
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
	});

	it("emits neither remove nor error for what it has forgotten", async () => {
		const pool = openPool();
		const events: string[] = [];
		for (const event of ["remove", "error"]) pool.on(event as "remove", () => events.push(event));
		const [idle, held] = [await pool.connect(), await pool.connect()];
		idle.release();
		let ends = 0;
		for (const client of [idle, held]) client.on("end", () => ends++);
		pretendFork();
		await untilTrue(() => ends === 2, { what: "both sockets have closed" });
		await settle();
		expect(events).to.deep.equal([]);
	});

	it("tells onProcessChange and the log, once", async () => {
		const changes: ProcessChange[] = [];
		const lines: string[] = [];
		const pool = openPool({
			name: "orders",
			onProcessChange: (change) => changes.push(change),
			log: (line: string) => lines.push(line),
		});
		await pool.query("select 1");
		const change = pretendFork();
		await pool.query("select 1");
		expect(changes).to.deep.equal([change]);
		const own = lines.filter((line) => line.startsWith("forksafe: ")); // the others are those of pg-pool's query
		expect(own).to.have.lengthOf(1);
		expect(own[0]).to.include("orders starts afresh").and.to.include("fork");
	});

	it("can be ended, before and after its first connection", async () => {
		for (const use of [async () => {}, backendPid]) {
			const pool = openPool();
			await backendPid(pool);
			pretendFork();
			await use(pool);
			await pool.end();
			expect(pool).to.include({ ended: true, totalCount: 0 });
		}
	});

	it("ends, although clients of the other process were still in use when it began to", async () => {
		const pool = openPool();
		await pool.connect();
		const ended = pool.end();
		pretendFork();
		await ended;
		expect(pool).to.include({ ended: true, totalCount: 0 });
	});

	it("changes again, and again", async () => {
		const pool = openPool();
		const pids = new Set<number>();
		for (let round = 0; round < 3; round++) {
			pids.add(await backendPid(pool));
			pretendFork();
		}
		expect(pids.size).to.equal(3);
	});
});

describe("processWatch", () => {
	/** Whether the pool and its client notice forks that nobody has reported, one after the other. */
	async function noticed(config: PoolConfig): Promise<boolean[]> {
		const pool = openPool(config);
		const fake = pretend();
		const seen: boolean[] = [];
		for (let round = 1; round <= 3; round++) {
			const client = await pool.connect();
			await client.query("select 1");
			fake.fork(CHILD + round, CHILD + round - 1);
			const outcome = await client.query("select 1").then(
				() => false,
				(error) => error instanceof InheritedConnectionError,
			);
			client.release();
			const next = await pool.connect();
			expect(next !== client).to.equal(outcome);
			next.release();
			seen.push(outcome);
		}
		return seen;
	}

	it("always notices each fork", async () => {
		expect(await noticed({ processWatch: "always" })).to.deep.equal([true, true, true]);
		expect(await noticed({})).to.deep.equal([true, true, true]);
	});

	it("once notices the first one", async () => {
		expect(await noticed({ processWatch: "once" })).to.deep.equal([true, false, false]);
	});

	it("off notices none, and obeys a report all the same", async () => {
		expect(await noticed({ processWatch: "off" })).to.deep.equal([false, false, false]);
		const pool = openPool({ processWatch: "off" });
		const client = await pool.connect();
		pretendFork();
		expect(client.isDiscarded).to.equal(true);
		expect(await rejection(client.query("select 1"))).to.be.instanceOf(InheritedConnectionError);
		await pool.query("select 1");
	});
});
