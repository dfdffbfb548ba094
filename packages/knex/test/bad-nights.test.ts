/** What a Knex of ours gets through and a plain one does not, and what TarnPool offers for that beyond tarn. */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { ConnectError, type Leak } from "@forksafe/core";
import { expect } from "chai";
import { TimeoutError } from "tarn";
import { follow, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafePostgres, TarnPool, type TarnPoolOptions } from "../src/index.ts";
import { ask, backendOf, destroyAll, open, sessions, terminate } from "./support/database.ts";
import { FakeTimers } from "./support/fake-timers.ts";

/** While this process does nothing else: its event loop does not turn. */
function terminateBlocking(name: string): void {
	const program = `
		import pg from "pg";
		const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
		await client.connect();
		await client.query("select pg_terminate_backend(pid, 2000) from pg_stat_activity where application_name = $1", ["${name}"]);
		await client.end();`;
	execFileSync(process.execPath, ["--input-type=module", "--eval", program], { cwd: import.meta.dirname });
}

describe("Knex", () => {
	afterEach(destroyAll);

	for (const [whose, client, fails] of [
		["does not fail", ForkSafePostgres, false],
		["fails without forksafe", "pg", true],
	] as const) {
		it(`${whose} when its idle sessions were ended, and it has heard nothing of it yet`, async () => {
			const { db, name } = open({ client, pool: { min: 0, max: 3 } });
			await Promise.all([backendOf(db), backendOf(db), backendOf(db)]);
			terminateBlocking(name);
			const answers = await Promise.allSettled([1, 2, 3, 4, 5, 6].map((n) => db.raw("select ?::int as n", [n])));
			expect(answers.some(({ status }) => status === "rejected")).to.equal(fails);
		});
	}

	it("asks the server about what was idle for longer than validateAfterIdleMillis", async () => {
		const { db } = open({ pool: { min: 0, max: 1, validateAfterIdleMillis: 1 } });
		const connection = await db.client.acquireConnection();
		await db.client.releaseConnection(connection);
		const asked: unknown[] = [];
		connection.connection.on("emptyQuery", () => asked.push("asked"));
		await untilTrue(async () => (await backendOf(db)) > 0 && asked.length > 0, { what: "the server was asked" });
	});

	it("replaces all its connections when a server tells one of them that it goes", async () => {
		const { db, name } = open({ pool: { min: 0, max: 2 } });
		const [first, second] = await Promise.all([backendOf(db), backendOf(db)]);
		const held = await db.client.acquireConnection();
		const idle = [first, second].find((pid) => pid !== held.processID);
		held.on("error", () => {});
		await ask(`select pg_terminate_backend(${held.processID}, 2000)`);
		await untilTrue(async () => (await sessions(name)) === 0, { what: "both have gone" });
		await db.client.releaseConnection(held);
		expect(await backendOf(db)).not.to.be.oneOf([held.processID, idle]);
	});

	it("replaces what min lacks, once it is in use", async () => {
		const { db, name } = open({ pool: { min: 1, max: 2 } });
		await backendOf(db);
		await terminate(name);
		await untilTrue(async () => (await sessions(name)) === 1, { what: "a new one is there", deadlineMillis: 8_000 });
	}).timeout(10_000);

	it("names who holds a connection for too long", async () => {
		const lines: string[] = [];
		const { db } = open({
			pool: {
				min: 0,
				max: 1,
				leakThresholdMillis: 1,
				reapIntervalMillis: 10,
				log: (line: string) => void lines.push(line),
			} as never,
		});
		async function forgetful(): Promise<unknown> {
			const trx = await db.transaction();
			await trx.raw("select 1");
			return trx;
		}
		await forgetful();
		await untilTrue(() => lines.length > 0, { what: "a line" });
		expect(lines[0]).to.match(/has been held for \d+ ms; acquired\n/);
		expect(lines[0]).to.include("bad-nights.test.ts");
	});
});

describe("TarnPool, beyond tarn", () => {
	const time = new FakeTimers();
	beforeEach(() => time.install());
	afterEach(() => time.uninstall());

	/** A pool whose creates wait until they are told how they end. */
	function make(options: Partial<TarnPoolOptions<Thing>> = {}) {
		const creates: PromiseWithResolvers<Thing>[] = [];
		const create = (): Promise<Thing> => {
			creates.push(Promise.withResolvers());
			return (creates.at(-1) as PromiseWithResolvers<Thing>).promise;
		};
		const destroyed: Thing[] = [];
		const destroy = (thing: Thing): void => void destroyed.push(thing);
		const pool = new TarnPool<Thing>({
			create,
			destroy,
			discard: () => {},
			min: 0,
			max: 2,
			propagateCreateError: true,
			...options,
		});
		return { pool, creates, destroyed, end: (n: number) => creates[n] as PromiseWithResolvers<Thing> };
	}

	it("tries a create again whose failure passes, although failures are propagated", async () => {
		const { pool, creates, end } = make({ isTransient: (error) => error === "full" });
		const waiter = follow(pool.acquire().promise);
		await settle();
		end(0).reject("full");
		await time.pass(20);
		expect(creates).to.have.lengthOf(2);
		end(1).resolve(new Thing());
		await settle();
		expect(waiter.state).to.equal("fulfilled");
	});

	it("tells at once of a failure that does not pass", async () => {
		const { pool, end } = make({ isTransient: (error) => error === "full" });
		const waiter = follow(pool.acquire().promise);
		await settle();
		end(0).reject(new Error("wrong password"));
		await settle();
		expect(waiter.reason).to.be.instanceOf(Error).with.property("message", "wrong password");
	});

	it("says whether it has ever created anything", async () => {
		const said: boolean[] = [];
		const { pool, end } = make({ isTransient: (_, hasConnected) => void said.push(hasConnected) as never });
		follow(pool.acquire().promise);
		await settle();
		end(0).resolve(new Thing());
		follow(pool.acquire().promise);
		await settle();
		end(1).reject(new Error("refused"));
		await settle();
		expect(new Set(said)).to.deep.equal(new Set([true]));
	});

	it("tells everybody who has waited as long when a create takes too long", async () => {
		const { pool } = make({ isTransient: () => false, createTimeoutMillis: 100, destroyTimeoutMillis: 1 });
		const waiters = [1, 2, 3, 4, 5].map(() => follow(pool.acquire().promise));
		await time.pass(100);
		for (const { reason } of waiters) {
			expect(reason).to.be.instanceOf(TimeoutError).with.property("cause").that.is.instanceOf(ConnectError);
		}
	});

	it("looks at what has been idle, and asks about what has been idle for long", async () => {
		const asked: Thing[] = [];
		const { pool, end } = make({ ping: (thing) => asked.push(thing) > 0, validateAfterIdleMillis: 500 });
		const acquire = async (): Promise<Thing> => {
			const waiter = follow(pool.acquire().promise);
			await settle();
			await settle();
			return waiter.value as Thing;
		};
		follow(acquire());
		await settle();
		end(0).resolve(new Thing());
		await settle();
		const thing = await end(0).promise;
		pool.release(thing);
		await time.pass(400);
		expect(await acquire()).to.equal(thing);
		expect(asked).to.have.lengthOf(0);
		pool.release(thing);
		await time.pass(600);
		expect(await acquire()).to.equal(thing);
		expect(asked).to.deep.equal([thing]);
	});

	it("evicts softly", async () => {
		const { pool, end, destroyed } = make();
		const [held, idle] = [new Thing(), new Thing()];
		const acquires = [pool.acquire().promise, pool.acquire().promise];
		await settle();
		end(0).resolve(held);
		end(1).resolve(idle);
		await Promise.all(acquires);
		pool.release(idle);
		pool.evict();
		await settle();
		expect(destroyed).to.deep.equal([idle]);
		pool.release(held);
		await settle();
		expect(destroyed).to.deep.equal([idle, held]);
	});

	it("tells of a leak once, by an event", async () => {
		const { pool, end } = make({ leakThresholdMillis: 1_000, reapIntervalMillis: 100 });
		const leaks: Leak<Thing>[] = [];
		pool.on("leak" as never, ((leak: Leak<Thing>) => leaks.push(leak)) as never);
		const acquire = pool.acquire().promise;
		await settle();
		end(0).resolve(new Thing());
		const thing = await acquire;
		await time.pass(5_000);
		expect(leaks).to.have.lengthOf(1);
		expect(leaks[0]).to.include({ resource: thing });
		expect(leaks[0]?.stack).to.include("bad-nights.test.ts");
	});

	it("credits a create and a validation with the time that the process did not run", async () => {
		const { pool, end } = make({ createTimeoutMillis: 2_000, reapIntervalMillis: 100, max: 1 });
		const waiter = follow(pool.acquire().promise);
		await settle();
		time.now += 60_000;
		await time.pass(500);
		expect(waiter.state).to.equal("pending");
		end(0).resolve(new Thing());
		await settle();
		expect(waiter.state).to.equal("fulfilled");
	});
});

describe("TarnPool, with ten thousand who wait", () => {
	it("lets them give up without a look at each other", async () => {
		const pool = new TarnPool<Thing>({
			create: () => new Thing(),
			destroy() {},
			discard() {},
			min: 0,
			max: 1,
			acquireTimeoutMillis: 500,
		});
		await pool.acquire().promise;
		const waiters = Array.from({ length: 10_000 }, () => follow(pool.acquire().promise));
		expect(pool.numPendingAcquires()).to.equal(10_000);
		await untilTrue(() => pool.numPendingAcquires() === 0, { what: "nobody waits" });
		await settle();
		expect(new Set(waiters.map(({ state }) => state))).to.deep.equal(new Set(["rejected"]));
	});
});

class Thing {}
