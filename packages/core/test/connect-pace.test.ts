import { expect } from "chai";
import { follow, settle } from "../../../test/support/promises.ts";
import { AcquireTimeoutError, ConnectError, type PoolOptions, reportProcessChange } from "../src/index.ts";
import { at } from "./support/at.ts";
import { Transient } from "./support/gated-driver.ts";
import { type SetUp, setUp } from "./support/set-up.ts";

/** A pool for which so many wait, whose connects stop at a gate. */
function setUpWaiting(count: number, options: PoolOptions = {}): SetUp & { waiters: ReturnType<typeof follow>[] } {
	const built = setUp({ stopsAt: ["connect"], ...options });
	const waiters = Array.from({ length: count }, () => follow(built.pool.acquire()));
	return { ...built, waiters };
}

describe("connects", () => {
	describe("that several wait for", () => {
		it("begin with one alone; the others begin when it has had its head start", async () => {
			const { driver, clock } = setUpWaiting(3, { connectHeadStartMillis: 5, max: 10 });
			expect(driver.connects).to.have.lengthOf(1);
			await clock.advance(4);
			expect(driver.connects).to.have.lengthOf(1);
			await clock.advance(1);
			expect(driver.connects).to.have.lengthOf(3);
		});

		it("begin with one alone; the others begin when it has succeeded", async () => {
			const { driver } = setUpWaiting(3, { connectHeadStartMillis: 1_000 });
			at(driver.connects, 0).open();
			await settle();
			expect(driver.connects).to.have.lengthOf(3);
		});

		it("begin only as long as somebody needs one", async () => {
			const { pool, driver, clock, waiters } = setUpWaiting(2, { connectHeadStartMillis: 5 });
			const connection = at(driver.connects, 0).open();
			follow(Promise.resolve().then(() => pool.release(connection)));
			await settle();
			at(driver.connects, 1).open();
			await clock.advance(100);
			expect(driver.connects).to.have.lengthOf(2);
			expect(waiters.map(({ state }) => state)).to.deep.equal(["fulfilled", "fulfilled"]);
		});

		it("begin all at the same moment, at 0", () => {
			expect(setUpWaiting(3, { connectHeadStartMillis: 0 }).driver.connects).to.have.lengthOf(3);
		});

		it("are never more than max", async () => {
			const { driver, clock } = setUpWaiting(5, { connectHeadStartMillis: 5, max: 2 });
			await clock.advance(100);
			expect(driver.connects).to.have.lengthOf(2);
		});

		it("are never more than maxConnecting at a time", async () => {
			const { driver, clock } = setUpWaiting(9, { max: 9, maxConnecting: 3 });
			await clock.advance(100);
			expect(driver.connects).to.have.lengthOf(3);
			at(driver.connects, 0).open();
			at(driver.connects, 1).fail(new Error("refused"));
			await settle();
			expect(driver.connects).to.have.lengthOf(5);
		});

		it("and nobody who may still be given one counts as pending too many", async () => {
			const { waiters } = setUpWaiting(5, { connectHeadStartMillis: 5, max: 3, maxPending: 1 });
			await settle();
			expect(waiters.map(({ state }) => state)).to.deep.equal(["pending", "pending", "pending", "pending", "rejected"]);
		});
	});

	describe("that fail for a reason that passes", () => {
		it("are tried again, and serve who waits", async () => {
			const { driver, clock, waiters } = setUpWaiting(1);
			at(driver.connects, 0).fail(new Transient("too many connections"));
			await settle();
			expect(at(waiters, 0).state).to.equal("pending");
			await clock.advance(10);
			const connection = at(driver.connects, 1).open();
			await settle();
			expect(at(waiters, 0).value).to.equal(connection);
		});

		it("are tried one at a time, at intervals that grow to 400 ms", async () => {
			const { driver, clock } = setUpWaiting(5, { random: () => 1, acquireTimeoutMillis: 0 });
			const moments: number[] = [];
			for (const gate of driver.connects) gate.fail(new Transient("starting up"));
			for (let tries = 0; tries < 9; tries++) {
				const before = driver.connects.length;
				while (driver.connects.length === before) await clock.advance(1);
				expect(driver.connects).to.have.lengthOf(before + 1);
				moments.push(clock.now());
				at(driver.connects, -1).fail(new Transient("starting up"));
			}
			await settle();
			const intervals = moments.map((moment, index) => moment - (moments[index - 1] ?? 1_000));
			expect(intervals).to.deep.equal([10, 20, 40, 80, 160, 320, 400, 400, 400]);
		});

		it("are tried again somewhat earlier by chance, so that many processes do not come at the same moment", async () => {
			const { driver, clock } = setUpWaiting(1, { random: () => 0 });
			at(driver.connects, 0).fail(new Transient("starting up"));
			await clock.advance(4);
			expect(driver.connects).to.have.lengthOf(1);
			await clock.advance(1);
			expect(driver.connects).to.have.lengthOf(2);
		});

		it("are followed by as many as are needed, when one succeeds", async () => {
			const { driver, clock } = setUpWaiting(4);
			for (const gate of driver.connects) gate.fail(new Transient("starting up"));
			await clock.advance(10);
			expect(driver.connects).to.have.lengthOf(5);
			at(driver.connects, 4).open();
			await settle();
			expect(driver.connects).to.have.lengthOf(8);
		});

		it("are not tried again when nobody waits any more", async () => {
			const { pool, driver, clock } = setUp({ stopsAt: ["connect"] });
			const controller = new AbortController();
			follow(pool.acquire({ signal: controller.signal }));
			at(driver.connects, 0).fail(new Transient("starting up"));
			await settle();
			controller.abort();
			await clock.advance(1_000);
			expect(driver.connects).to.have.lengthOf(1);
			expect(clock.holdingProcess).to.equal(0);
		});

		it("let an acquire wait until its own time is up, and are its cause then", async () => {
			const { driver, clock, waiters } = setUpWaiting(1, { acquireTimeoutMillis: 500 });
			const refused = new Transient("connect ECONNREFUSED");
			driver.stopsAt.delete("connect");
			Object.assign(driver, { connect: () => Promise.reject(refused) });
			at(driver.connects, 0).fail(refused);
			await clock.advance(500);
			const { reason } = at(waiters, 0);
			expect(reason).to.be.instanceOf(AcquireTimeoutError).with.property("phase", "connect");
			expect(reason).to.have.property("message").that.includes("ECONNREFUSED");
			expect(reason).to.have.property("cause").that.is.instanceOf(ConnectError).with.property("cause", refused);
		});

		it("leave those alone who are served by a connection that comes back", async () => {
			const { pool, driver, waiters } = setUpWaiting(2, { max: 2 });
			const connection = at(driver.connects, 0).open();
			at(driver.connects, 1).fail(new Transient("too many connections"));
			await settle();
			pool.release(connection);
			await settle();
			expect(at(waiters, 1).value).to.equal(connection);
		});

		it("hold back nothing in another process", async () => {
			const { pool, driver } = setUpWaiting(1);
			at(driver.connects, 0).fail(new Transient("starting up"));
			await settle();
			reportProcessChange();
			follow(pool.acquire());
			expect(driver.connects).to.have.lengthOf(2);
		});

		it("end with the pool", async () => {
			const { pool, driver, clock, waiters } = setUpWaiting(1);
			at(driver.connects, 0).fail(new Transient("starting up"));
			await settle();
			await pool.close();
			await settle();
			expect(at(waiters, 0).state).to.equal("rejected");
			expect(clock.running).to.equal(0);
		});

		it("count as final when the driver cannot tell", async () => {
			const { driver, waiters } = setUpWaiting(1);
			Object.assign(driver, { isTransient: undefined });
			at(driver.connects, 0).fail(new Transient("starting up"));
			await settle();
			expect(at(waiters, 0).reason).to.be.instanceOf(ConnectError);
		});

		it("are judged by whether the pool has ever been connected", async () => {
			const { pool, driver } = setUp();
			const asked: boolean[] = [];
			Object.assign(driver, { isTransient: (_: unknown, hasConnected: boolean) => void asked.push(hasConnected) });
			driver.stopsAt.add("connect");
			follow(pool.acquire());
			at(driver.connects, 0).fail(new Error("refused"));
			await settle();
			follow(pool.acquire());
			at(driver.connects, 1).open();
			follow(pool.acquire());
			at(driver.connects, 2).fail(new Error("refused"));
			await settle();
			expect(asked).to.deep.equal([false, true]);
		});
	});

	describe("that take too long", () => {
		it("fail everybody who has waited for as long", async () => {
			const { clock, waiters } = setUpWaiting(5, { max: 2, connectTimeoutMillis: 10_000 });
			await clock.advance(10_000);
			for (const { reason } of waiters) expect(reason).to.be.instanceOf(ConnectError).with.property("isTimeout", true);
		});

		it("fail those, too, who came a moment after they had begun", async () => {
			const { pool, clock, waiters } = setUpWaiting(1, { max: 2, connectTimeoutMillis: 10_000, connectHeadStartMillis: 15 });
			await clock.advance(5);
			for (let n = 0; n < 4; n++) waiters.push(follow(pool.acquire()));
			await clock.advance(10_015);
			for (const { reason } of waiters) expect(reason).to.be.instanceOf(ConnectError).with.property("isTimeout", true);
		});

		it("do not fail who has come later", async () => {
			const { pool, driver, clock } = setUpWaiting(1, { max: 1, connectTimeoutMillis: 10_000, destroyTimeoutMillis: 100 });
			await clock.advance(6_000);
			const late = follow(pool.acquire());
			await clock.advance(4_100);
			expect(late.state).to.equal("pending");
			const connection = at(driver.connects, 1).open();
			await settle();
			expect(late.value).to.equal(connection);
		});
	});
});
