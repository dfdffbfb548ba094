import { expect } from "chai";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { scoped } from "../../../test/support/scoped.ts";
import { OptionError, PoolClosedError } from "../src/index.ts";
import { at } from "./support/at.ts";
import { acquireMany, setUp, setUpIdle } from "./support/set-up.ts";

describe("drain", () => {
	it("closes an empty pool at once", async () => {
		const { pool } = setUp();
		let closed = 0;
		pool.on("close", () => closed++);
		await pool.drain();
		expect(pool.state).to.equal("closed");
		expect(closed).to.equal(1);
	});

	it("ends idle connections, and resolves when the last has gone", async () => {
		const { pool, driver, idle } = await setUpIdle(2, { stopsAt: ["destroy"] });
		const drained = follow(pool.drain());
		expect(pool.state).to.equal("draining");
		expect(driver.destroyed).to.have.members(idle);
		at(driver.destroys, 0).succeed();
		await settle();
		expect(drained.state).to.equal("pending");
		at(driver.destroys, 1).fail(new Error("broken pipe"));
		await settle();
		expect([drained.state, pool.state]).to.deep.equal(["fulfilled", "closed"]);
	});

	it("waits for connections in use, and ends each as it comes back", async () => {
		const { pool, driver } = setUp();
		const [first, second] = await acquireMany(pool, 2);
		if (first === undefined || second === undefined) throw new Error("unreachable");
		const drained = follow(pool.drain());
		await settle();
		expect(driver.destroyed).to.have.lengthOf(0);
		pool.release(first);
		await settle();
		expect(driver.destroyed).to.deep.equal([first]);
		expect(drained.state).to.equal("pending");
		pool.release(second, { destroy: true });
		await settle();
		expect([drained.state, pool.state]).to.deep.equal(["fulfilled", "closed"]);
	});

	it("rejects who waits, and whoever comes", async () => {
		const { pool } = setUp({ max: 1 });
		const held = await pool.acquire();
		const waiters = [pool.acquire(), pool.acquire()].map(follow);
		const drained = pool.drain();
		await settle();
		for (const { reason } of waiters)
			expect(reason).to.be.instanceOf(PoolClosedError).and.to.include({ code: "ERR_FORKSAFE_CLOSED" });
		expect(await rejection(pool.acquire()))
			.to.be.instanceOf(PoolClosedError)
			.with.property("message")
			.that.includes("draining");
		pool.release(held);
		await drained;
		expect(await rejection(pool.acquire()))
			.to.be.instanceOf(PoolClosedError)
			.with.property("message")
			.that.includes("closed");
		expect(pool.stats()).to.include({ state: "closed", total: 0, pending: 0 });
	});

	it("ends connections in use after deadlineMillis, and ignores their release", async () => {
		const { pool, driver, clock } = setUp();
		const held = await pool.acquire();
		const drained = follow(pool.drain({ deadlineMillis: 400 }));
		await clock.advance(399);
		expect(driver.destroyed).to.have.lengthOf(0);
		await clock.advance(1);
		expect(driver.destroyed).to.deep.equal([held]);
		expect(drained.state).to.equal("fulfilled");
		pool.release(held);
		expect(driver.destroyed).to.have.lengthOf(1);
	});

	it("waits 30 s where nothing else is said", async () => {
		const { pool, clock } = setUp();
		await pool.acquire();
		const drained = follow(pool.drain());
		await clock.advance(29_999);
		expect(drained.state).to.equal("pending");
		await clock.advance(1);
		expect(drained.state).to.equal("fulfilled");
	});

	it("waits for ever with a deadline of 0", async () => {
		const { pool, clock } = setUp();
		const held = await pool.acquire();
		const drained = follow(pool.drain({ deadlineMillis: 0 }));
		await clock.advance(1_000_000);
		expect(drained.state).to.equal("pending");
		pool.release(held);
		await settle();
		expect(drained.state).to.equal("fulfilled");
	});

	it("rejects bad options, and drains nothing then", async () => {
		const { pool } = setUp();
		expect(await rejection(pool.drain({ deadlineMillis: -1 })))
			.to.be.instanceOf(OptionError)
			.and.to.include({ option: "deadlineMillis" });
		expect(await rejection(pool.drain({ deadline: 5 } as object))).to.be.instanceOf(OptionError);
		expect(pool.state).to.equal("open");
	});

	it("gives a connect in progress up, and resolves when the driver has", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const waiter = follow(pool.acquire());
		const drained = follow(pool.drain());
		await settle();
		expect(waiter.reason).to.be.instanceOf(PoolClosedError);
		expect(at(driver.connects, 0).signal.aborted).to.equal(true);
		expect(drained.state).to.equal("pending");
		at(driver.connects, 0).fail(new Error("aborted"));
		await settle();
		expect([drained.state, pool.state]).to.deep.equal(["fulfilled", "closed"]);
	});

	it("ends a connection that arrives all the same", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		follow(pool.acquire());
		const drained = follow(pool.drain());
		const late = at(driver.connects, 0).open();
		await settle();
		expect(driver.destroyed).to.deep.equal([late]);
		expect(drained.state).to.equal("fulfilled");
	});

	it("does not wait longer than destroyTimeoutMillis for a connect that is not given up", async () => {
		const { pool, clock } = setUp({ destroyTimeoutMillis: 200, stopsAt: ["connect"] });
		follow(pool.acquire());
		const drained = follow(pool.drain());
		await clock.advance(200);
		expect(drained.state).to.equal("fulfilled");
	});

	it("ends a connection that is being validated", async () => {
		const { pool, driver, idle } = await setUpIdle(1, { stopsAt: ["validate"] });
		const waiter = follow(pool.acquire());
		await settle();
		const drained = follow(pool.drain());
		expect(driver.destroyed).to.deep.equal(idle);
		at(driver.validations, 0).succeed(true);
		await settle();
		expect(waiter.reason).to.be.instanceOf(PoolClosedError);
		expect(drained.state).to.equal("fulfilled");
	});

	it("may be called twice, and again when the pool is closed", async () => {
		const { pool } = setUp();
		let closed = 0;
		pool.on("close", () => closed++);
		const held = await pool.acquire();
		const both = Promise.all([pool.drain(), pool.drain()]);
		pool.release(held);
		await both;
		await pool.drain();
		await pool.close();
		expect(closed).to.equal(1);
	});

	it("leaves no timer running, however often it is called", async () => {
		const { pool, clock } = await setUpIdle(2);
		await pool.drain();
		expect(clock.running).to.equal(0);
		await pool.drain();
		await pool.close();
		expect(clock.running).to.equal(0);
	});

	it("leaves no timer running when a connect was in progress", async () => {
		const { pool, driver, clock } = setUp({ stopsAt: ["connect"] });
		follow(pool.acquire());
		const drained = pool.drain();
		at(driver.connects, 0).fail(new Error("aborted"));
		await drained;
		expect(clock.running).to.equal(0);
	});

	it("happens at the end of an await using block", async () => {
		const { pool, driver } = setUp();
		await scoped(pool, async () => {
			pool.release(await pool.acquire());
			expect(pool.state).to.equal("open");
		});
		expect(pool.state).to.equal("closed");
		expect(driver.destroys).to.have.lengthOf(1);
	});
});

describe("close", () => {
	it("ends connections in use at once, and ignores their release", async () => {
		const { pool, driver } = setUp();
		const [held] = await acquireMany(pool, 2);
		if (held !== undefined) pool.release(held);
		await pool.close();
		expect(driver.destroys).to.have.lengthOf(2);
		expect(pool.stats()).to.include({ state: "closed", total: 0 });
		for (const connection of driver.destroyed) pool.release(connection);
		expect(driver.destroys).to.have.lengthOf(2);
	});

	it("cuts a drain short", async () => {
		const { pool } = setUp();
		await pool.acquire();
		const drained = follow(pool.drain({ deadlineMillis: 0 }));
		await settle();
		expect(drained.state).to.equal("pending");
		await pool.close();
		expect(drained.state).to.equal("fulfilled");
	});

	it("rejects who waits", async () => {
		const { pool } = setUp({ max: 1 });
		await pool.acquire();
		const waiter = follow(pool.acquire());
		await pool.close();
		expect(waiter.reason).to.be.instanceOf(PoolClosedError);
	});

	it("does not wait longer than destroyTimeoutMillis for connections that do not end", async () => {
		const { pool, clock } = await setUpIdle(1, { destroyTimeoutMillis: 200, stopsAt: ["destroy"] });
		const closed = follow(pool.close());
		await clock.advance(200);
		expect(closed.state).to.equal("fulfilled");
		expect(clock.running).to.equal(0);
	});
});
