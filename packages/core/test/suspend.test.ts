import { expect } from "chai";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import {
	OptionError,
	PoolClosedError,
	PoolSuspendedError,
	ProcessChangedError,
	ResumedError,
	reportProcessChange,
	resumeAll,
	suspendAll,
} from "../src/index.ts";
import { at } from "./support/at.ts";
import { acquireMany, setUp, setUpIdle } from "./support/set-up.ts";

describe("suspend", () => {
	it("ends what is idle, and resolves when the last connection has gone", async () => {
		const { pool, driver, idle } = await setUpIdle(2, { stopsAt: ["destroy"] });
		const suspended = follow(pool.suspend());
		expect(pool.state).to.equal("suspended");
		expect(driver.destroyed).to.have.members(idle);
		at(driver.destroys, 0).succeed();
		await settle();
		expect(suspended.state).to.equal("pending");
		at(driver.destroys, 1).succeed();
		await settle();
		expect(suspended.state).to.equal("fulfilled");
		expect(pool.stats()).to.include({ state: "suspended", total: 0 });
	});

	it("resolves at once when there is nothing to end, and when it is called again", async () => {
		const { pool } = setUp();
		await pool.suspend();
		await pool.suspend();
		expect(pool.state).to.equal("suspended");
	});

	it("lets connections in use finish, and ends each as it comes back", async () => {
		const { pool, driver } = setUp();
		const held = await pool.acquire();
		const suspended = follow(pool.suspend());
		await settle();
		expect([driver.destroyed.length, suspended.state]).to.deep.equal([0, "pending"]);
		pool.release(held);
		await settle();
		expect(driver.destroyed).to.deep.equal([held]);
		expect(suspended.state).to.equal("fulfilled");
	});

	it("ends connections in use after deadlineMillis, and ignores their release", async () => {
		const { pool, driver, clock } = setUp();
		const held = await pool.acquire();
		const suspended = follow(pool.suspend({ deadlineMillis: 400 }));
		await clock.advance(399);
		expect(driver.destroyed).to.have.lengthOf(0);
		await clock.advance(1);
		expect(driver.destroyed).to.deep.equal([held]);
		expect(suspended.state).to.equal("fulfilled");
		pool.resume();
		pool.release(held);
		expect(pool.stats()).to.include({ state: "open", total: 0 });
	});

	it("waits 30 s where nothing else is said, and for ever with a deadline of 0", async () => {
		for (const [options, millis] of [[undefined, 30_000] as const, [{ deadlineMillis: 0 }, Number.POSITIVE_INFINITY] as const]) {
			const { pool, clock } = setUp();
			await pool.acquire();
			const suspended = follow(pool.suspend(options));
			await clock.advance(29_999);
			expect(suspended.state).to.equal("pending");
			await clock.advance(1_000_000);
			expect(suspended.state).to.equal(millis === 30_000 ? "fulfilled" : "pending");
		}
	});

	it("waits for a connect in progress, ends what it brings, and serves nobody with it", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const waiter = follow(pool.acquire());
		const suspended = follow(pool.suspend());
		await settle();
		expect(at(driver.connects, 0).signal.aborted).to.equal(false);
		expect(suspended.state).to.equal("pending");
		const late = at(driver.connects, 0).open();
		await settle();
		expect(driver.destroyed).to.deep.equal([late]);
		expect([suspended.state, waiter.state]).to.deep.equal(["fulfilled", "pending"]);
	});

	it("keeps who waits also when the connect in progress fails", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const waiter = follow(pool.acquire());
		const suspended = follow(pool.suspend());
		at(driver.connects, 0).fail(new Error("refused"));
		await settle();
		expect([suspended.state, waiter.state]).to.deep.equal(["fulfilled", "pending"]);
		pool.resume();
		at(driver.connects, 1).open();
		await settle();
		expect(waiter.state).to.equal("fulfilled");
	});

	it("keeps who waits also when the connect in progress takes too long", async () => {
		const { pool, driver, clock } = setUp({ stopsAt: ["connect"], connectTimeoutMillis: 100, destroyTimeoutMillis: 100 });
		const waiter = follow(pool.acquire());
		const suspended = follow(pool.suspend());
		await clock.advance(100);
		expect(at(driver.connects, 0).signal.aborted).to.equal(true);
		await clock.advance(100);
		expect([suspended.state, waiter.state]).to.deep.equal(["fulfilled", "pending"]);
	});

	it("gives a connect in progress up after deadlineMillis", async () => {
		const { pool, driver, clock } = setUp({ stopsAt: ["connect"], connectTimeoutMillis: 0 });
		follow(pool.acquire());
		const suspended = follow(pool.suspend({ deadlineMillis: 50 }));
		await clock.advance(50);
		expect(at(driver.connects, 0).signal.reason).to.be.instanceOf(PoolSuspendedError);
		at(driver.connects, 0).fail(new Error("aborted"));
		await settle();
		expect(suspended.state).to.equal("fulfilled");
	});

	it("ends what is being validated, and keeps for whom", async () => {
		const { pool, driver, idle } = await setUpIdle(1, { stopsAt: ["validate"] });
		const waiter = follow(pool.acquire());
		await settle();
		await pool.suspend();
		expect(driver.destroyed).to.deep.equal(idle);
		expect(waiter.state).to.equal("pending");
		pool.resume();
		await settle();
		expect(waiter.state).to.equal("fulfilled");
	});

	it("lets who waits stay, and serves them in their order when the pool is resumed", async () => {
		const { pool } = setUp({ max: 1 });
		const served: string[] = [];
		const use = (name: string): Promise<void> => pool.use(() => void served.push(name));
		const held = await pool.acquire();
		const before = use("before");
		const suspended = pool.suspend();
		const meanwhile = use("meanwhile");
		pool.release(held);
		await suspended;
		await settle();
		expect(served).to.deep.equal([]);
		expect(pool.stats()).to.include({ pending: 2, total: 0 });
		pool.resume();
		await Promise.all([before, meanwhile]);
		expect(served).to.deep.equal(["before", "meanwhile"]);
	});

	for (const [name, ownTimeout] of [
		["the pool's", undefined],
		["its own", { timeoutMillis: 100 }],
	] as const) {
		it(`lets ${name} deadline of an acquire stand still`, async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: ownTimeout === undefined ? 100 : 0 });
			const held = await pool.acquire(ownTimeout);
			const before = follow(pool.acquire(ownTimeout));
			await clock.advance(60);
			const suspended = pool.suspend({ deadlineMillis: 0 });
			const meanwhile = follow(pool.acquire(ownTimeout));
			await clock.advance(5_000);
			expect([before.state, meanwhile.state]).to.deep.equal(["pending", "pending"]);
			expect(clock.holdingProcess, "timers that keep the process alive for them").to.be.greaterThan(0);
			pool.resume();
			expect(await rejection(suspended)).to.be.instanceOf(ResumedError);
			await clock.advance(39);
			expect([before.state, meanwhile.state]).to.deep.equal(["pending", "pending"]);
			await clock.advance(1);
			expect([before.state, meanwhile.state]).to.deep.equal(["rejected", "pending"]);
			await clock.advance(60);
			expect(meanwhile.state).to.equal("rejected");
			pool.release(held);
			await pool.close();
			expect(clock.running).to.equal(0);
		});
	}

	it("does not count a stop of the process twice that falls into it", async () => {
		const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 100 });
		await pool.acquire();
		const waiter = follow(pool.acquire());
		const suspended = follow(pool.suspend({ deadlineMillis: 0 }));
		await clock.advance(1_000);
		clock.jump(60_000);
		pool.resume();
		await clock.advance(99);
		expect(waiter.state).to.equal("pending");
		await clock.advance(1);
		expect(waiter.state).to.equal("rejected");
		expect(suspended.reason).to.be.instanceOf(ResumedError);
	});

	it("lets who waits give up", async () => {
		const { pool, clock } = setUp();
		await pool.suspend();
		const abort = new AbortController();
		const waiter = follow(pool.acquire({ signal: abort.signal }));
		await clock.advance(40_000);
		abort.abort(new Error("enough"));
		await settle();
		expect(waiter.reason).to.have.property("message", "enough");
		expect(pool.stats().pending).to.equal(0);
		expect(clock.running).to.equal(0);
	});

	it("rejects who waits and whoever comes, where that is asked for", async () => {
		const { pool } = setUp({ max: 1 });
		const held = await pool.acquire();
		const waiter = follow(pool.acquire());
		const suspended = pool.suspend({ acquires: "reject" });
		expect(await rejection(pool.acquire()))
			.to.be.instanceOf(PoolSuspendedError)
			.and.to.include({ code: "ERR_FORKSAFE_SUSPENDED" });
		expect(waiter.reason).to.be.instanceOf(PoolSuspendedError);
		expect(pool.tryAcquire()).to.equal(undefined);
		pool.release(held);
		await suspended;
		pool.resume();
		await pool.acquire();
	});

	it("holds maxPending", async () => {
		const { pool } = setUp({ max: 1, maxPending: 1 });
		await pool.suspend();
		const waiters = Array.from({ length: 3 }, () => follow(pool.acquire()));
		await settle();
		expect(waiters.map(({ state }) => state)).to.deep.equal(["pending", "pending", "rejected"]);
	});

	it("rejects bad options, and suspends nothing then", async () => {
		const { pool } = setUp();
		for (const [option, value] of [
			["deadlineMillis", -1],
			["acquires", "fail"],
			["deadline", 1],
		] as const) {
			const options = { [option]: value };
			for (const suspended of [pool.suspend(options), suspendAll(options)]) {
				expect(await rejection(suspended))
					.to.be.instanceOf(OptionError)
					.and.to.include({ option });
			}
		}
		expect(pool.state).to.equal("open");
	});

	it("can be drained, which rejects who waits", async () => {
		const { pool } = setUp();
		const held = await pool.acquire();
		const suspended = follow(pool.suspend());
		const waiter = follow(pool.acquire());
		const drained = follow(pool.drain());
		await settle();
		expect(waiter.reason).to.be.instanceOf(PoolClosedError);
		pool.resume();
		expect(pool.state).to.equal("draining");
		pool.release(held);
		await settle();
		expect([suspended.state, drained.state, pool.state]).to.deep.equal(["fulfilled", "fulfilled", "closed"]);
	});

	it("waits for a pool that is being drained, and for no closed one", async () => {
		const { pool, clock } = setUp();
		await pool.acquire();
		const drained = follow(pool.drain({ deadlineMillis: 0 }));
		const suspended = follow(pool.suspend({ deadlineMillis: 100 }));
		await clock.advance(99);
		expect([drained.state, suspended.state]).to.deep.equal(["pending", "pending"]);
		await clock.advance(1);
		expect([drained.state, suspended.state, pool.state]).to.deep.equal(["fulfilled", "fulfilled", "closed"]);
		await pool.suspend();
		pool.resume();
		expect(pool.state).to.equal("closed");
	});

	it("stays suspended in a copy of the process, without anybody of the other one", async () => {
		const { pool, driver } = setUp();
		const held = await pool.acquire();
		const suspended = follow(pool.suspend());
		const waiter = follow(pool.acquire());
		reportProcessChange();
		await settle();
		expect(suspended.state).to.equal("fulfilled");
		expect(waiter.reason).to.be.instanceOf(ProcessChangedError);
		expect(driver.discarded).to.deep.equal([held]);
		expect(pool.stats()).to.include({ state: "suspended", total: 0 });
		const own = follow(pool.acquire());
		await settle();
		expect(own.state).to.equal("pending");
		pool.resume();
		await settle();
		expect(own.state).to.equal("fulfilled");
	});
});

describe("resume", () => {
	it("tells who still waits for the last connection to go that it came too early, and keeps what is in use", async () => {
		const { pool, driver } = setUp();
		const held = await acquireMany(pool, 2);
		const suspended = pool.suspend();
		await settle();
		pool.resume();
		const error = await rejection(suspended);
		expect(error).to.be.instanceOf(ResumedError).and.to.include({ code: "ERR_FORKSAFE_RESUMED" });
		expect(error).to.have.property("message").that.includes("2 connections");
		for (const connection of held) pool.release(connection);
		expect(pool.stats()).to.include({ state: "open", idle: 2 });
		expect(driver.destroyed).to.have.lengthOf(0);
	});

	it("changes nothing on a pool that is open", () => {
		const { pool } = setUp();
		pool.resume();
		expect(pool.state).to.equal("open");
	});

	it("connects for nobody but those who wait, and keeps min again from then on", async () => {
		const { pool, driver, clock } = setUp({ min: 2, maintenanceIntervalMillis: 100 });
		pool.release(await pool.acquire());
		await pool.suspend();
		await clock.advance(1_000);
		const before = driver.connects.length;
		pool.resume();
		expect(driver.connects).to.have.lengthOf(before);
		await clock.advance(1_000);
		expect(pool.stats().total).to.equal(2);
	});
});

describe("suspendAll", () => {
	// Whether it resolves depends on what other tests have left behind: test/integration/suspend.test.ts shows that.
	it("suspends every pool that is not closed; resumeAll opens them", async () => {
		const built = [setUp(), setUp(), setUp()];
		const [first, second, third] = built.map(({ pool }) => pool);
		await first?.acquire();
		await third?.drain();
		const suspended = follow(suspendAll({ deadlineMillis: 0 }));
		await settle();
		expect([first, second, third].map((pool) => pool?.state)).to.deep.equal(["suspended", "suspended", "closed"]);
		expect(suspended.state).to.equal("pending");
		resumeAll();
		expect([first, second, third].map((pool) => pool?.state)).to.deep.equal(["open", "open", "closed"]);
	});
});
