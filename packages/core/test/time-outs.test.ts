import { expect } from "chai";
import { follow, settle } from "../../../test/support/promises.ts";
import { AcquireTimeoutError, ConnectError } from "../src/index.ts";
import { at } from "./support/at.ts";
import { acquireMany, setUp, setUpIdle } from "./support/set-up.ts";

describe("time-outs", () => {
	describe("acquireTimeoutMillis", () => {
		it("rejects who waits for a release, with the phase, the time and the counts", async () => {
			const { pool, clock } = setUp({ max: 2, acquireTimeoutMillis: 500 });
			await acquireMany(pool, 2);
			const waiter = follow(pool.acquire());
			await clock.advance(499);
			expect(waiter.state).to.equal("pending");
			await clock.advance(1);
			expect(waiter.reason).to.be.instanceOf(AcquireTimeoutError);
			expect(waiter.reason).to.include({ code: "ERR_FORKSAFE_ACQUIRE_TIMEOUT", phase: "wait", waitedMillis: 500 });
			expect(waiter.reason).to.have.property("counts").that.includes({ max: 2, used: 2, idle: 0, connecting: 0 });
			expect(waiter.reason)
				.to.have.property("message")
				.that.includes("no connection within 500 ms")
				.and.includes("max 2: 2 used")
				.and.includes("raise max");
			expect(pool.stats().pending).to.equal(0);
		});

		it("names the connect when that has not answered", async () => {
			const { pool, clock } = setUp({ acquireTimeoutMillis: 500, connectTimeoutMillis: 0, stopsAt: ["connect"] });
			const waiter = follow(pool.acquire());
			await clock.advance(500);
			expect(waiter.reason).to.include({ phase: "connect" });
			expect(waiter.reason).to.have.property("message").that.includes("1 connecting").and.includes("the server has not answered");
		});

		it("names the validation when that has not answered", async () => {
			const { pool, clock } = await setUpIdle(1, { acquireTimeoutMillis: 500, validateTimeoutMillis: 0, stopsAt: ["validate"] });
			const waiter = follow(pool.acquire());
			await settle();
			await clock.advance(500);
			expect(waiter.reason).to.include({ phase: "validate" });
			expect(waiter.reason).to.have.property("message").that.includes("validation");
		});

		it("gives up the waiter only: the connection it caused serves the next one", async () => {
			const { pool, driver, clock } = setUp({ max: 1, acquireTimeoutMillis: 500, connectTimeoutMillis: 0, stopsAt: ["connect"] });
			follow(pool.acquire());
			await clock.advance(500);
			expect(at(driver.connects, 0).signal.aborted).to.equal(false);
			const next = follow(pool.acquire());
			const connection = at(driver.connects, 0).open();
			await settle();
			expect(next.value).to.equal(connection);
			expect(driver.connects).to.have.lengthOf(1);
		});

		it("can be set for one acquire", async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 500 });
			await pool.acquire();
			const hasty = follow(pool.acquire({ timeoutMillis: 20 }));
			const patient = follow(pool.acquire({ timeoutMillis: 0 }));
			const usual = follow(pool.acquire());
			await clock.advance(20);
			expect([hasty.state, patient.state, usual.state]).to.deep.equal(["rejected", "pending", "pending"]);
			expect(hasty.reason).to.have.property("message").that.includes("within 20 ms");
			await clock.advance(480);
			expect([patient.state, usual.state]).to.deep.equal(["pending", "rejected"]);
			await clock.advance(1_000_000);
			expect(patient.state).to.equal("pending");
		});

		it("is off at 0", async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 0 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			await clock.advance(1_000_000);
			expect(waiter.state).to.equal("pending");
			pool.release(held);
			await settle();
			expect(waiter.value).to.equal(held);
		});

		it("runs no more once the connection is there", async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 500 });
			const held = await pool.acquire();
			const before = clock.running;
			const waiter = follow(pool.acquire());
			pool.release(held);
			await settle();
			expect(waiter.value).to.equal(held);
			expect(clock.running).to.equal(before);
		});

		it("sets no timer when a connection is idle", async () => {
			const { pool, clock } = await setUpIdle(1);
			const before = clock.running;
			void pool.acquire();
			expect(clock.running).to.equal(before);
		});
	});

	describe("connectTimeoutMillis", () => {
		it("rejects the waiter with ConnectError, and aborts the connect", async () => {
			const { pool, driver, clock } = setUp({ connectTimeoutMillis: 300, stopsAt: ["connect"] });
			const waiter = follow(pool.acquire());
			await clock.advance(299);
			expect([waiter.state, at(driver.connects, 0).signal.aborted]).to.deep.equal(["pending", false]);
			await clock.advance(1);
			expect(waiter.reason).to.be.instanceOf(ConnectError).with.property("message").that.includes("within 300 ms");
			expect(at(driver.connects, 0).signal.aborted).to.equal(true);
		});

		it("is no news for who came later: they wait for the next connect", async () => {
			const { pool, driver, clock } = setUp({
				max: 1,
				acquireTimeoutMillis: 500,
				connectTimeoutMillis: 300,
				stopsAt: ["connect"],
			});
			const hasty = follow(pool.acquire({ timeoutMillis: 200 }));
			await clock.advance(250);
			expect(hasty.state).to.equal("rejected");
			const later = follow(pool.acquire());
			await clock.advance(50);
			expect(at(driver.connects, 0).signal.aborted).to.equal(true);
			expect(later.state).to.equal("pending");
			at(driver.connects, 0).fail(new Error("aborted"));
			await settle();
			const connection = at(driver.connects, 1).open();
			await settle();
			expect(later.value).to.equal(connection);
		});

		it("counts the connect against max until the driver has given it up", async () => {
			const { pool, driver, clock } = setUp({ max: 1, connectTimeoutMillis: 300, stopsAt: ["connect"] });
			follow(pool.acquire());
			await clock.advance(300);
			const next = follow(pool.acquire());
			expect(driver.connects).to.have.lengthOf(1);
			expect(pool.stats()).to.include({ destroying: 1, connecting: 0, total: 1, pending: 1 });

			at(driver.connects, 0).fail(new Error("aborted"));
			await settle();
			expect(driver.connects).to.have.lengthOf(2);
			const connection = at(driver.connects, 1).open();
			await settle();
			expect(next.value).to.equal(connection);
		});

		it("ends a connection that arrives late, and never exceeds max", async () => {
			const { pool, driver, clock } = setUp({ max: 1, connectTimeoutMillis: 300, stopsAt: ["connect", "destroy"] });
			follow(pool.acquire());
			await clock.advance(300);
			const next = follow(pool.acquire());
			const late = at(driver.connects, 0).open();
			await settle();
			expect(driver.destroyed).to.deep.equal([late]);
			expect(driver.connects).to.have.lengthOf(1);
			expect(pool.stats()).to.include({ destroying: 1, total: 1 });

			at(driver.destroys, 0).succeed();
			await settle();
			at(driver.connects, 1).open();
			await settle();
			expect(next.state).to.equal("fulfilled");
			expect(next.value).not.to.equal(late);
		});

		it("stops counting a connect that is not given up in destroyTimeoutMillis, and ends it politely when it arrives", async () => {
			const { pool, driver, clock } = setUp({
				max: 1,
				connectTimeoutMillis: 300,
				destroyTimeoutMillis: 200,
				stopsAt: ["connect"],
			});
			follow(pool.acquire());
			await clock.advance(300);
			const next = follow(pool.acquire());
			await clock.advance(200);
			expect(driver.connects).to.have.lengthOf(2);
			const late = at(driver.connects, 0).open();
			await settle();
			expect(driver.destroyed).to.deep.equal([late]);
			expect(pool.stats()).to.include({ connecting: 1, total: 1 });
			at(driver.connects, 1).open();
			await settle();
			expect(next.state).to.equal("fulfilled");
		});

		it("is off at 0", async () => {
			const { pool, driver, clock } = setUp({ connectTimeoutMillis: 0, acquireTimeoutMillis: 0, stopsAt: ["connect"] });
			const waiter = follow(pool.acquire());
			await clock.advance(1_000_000);
			expect(waiter.state).to.equal("pending");
			at(driver.connects, 0).open();
			await settle();
			expect(waiter.state).to.equal("fulfilled");
		});
	});

	describe("validateTimeoutMillis", () => {
		it("ends a connection that does not answer, and serves the waiter with another", async () => {
			const { pool, driver, clock, idle } = await setUpIdle(1, { validateTimeoutMillis: 300, stopsAt: ["validate"] });
			const waiter = follow(pool.acquire());
			await settle();
			await clock.advance(299);
			expect(pool.stats()).to.include({ validating: 1 });
			await clock.advance(1);
			expect(driver.destroyed).to.deep.equal(idle);
			expect(waiter.state).to.equal("fulfilled");
			expect(waiter.value).not.to.equal(idle[0]);
		});

		it("ignores the verdict that comes afterwards", async () => {
			const { pool, driver, clock } = await setUpIdle(1, { validateTimeoutMillis: 300, stopsAt: ["validate"] });
			follow(pool.acquire());
			await settle();
			await clock.advance(300);
			at(driver.validations, 0).succeed(true);
			await settle();
			expect(pool.stats()).to.include({ used: 1, idle: 0, total: 1 });
		});

		it("is off at 0", async () => {
			const { pool, driver, clock, idle } = await setUpIdle(1, {
				validateTimeoutMillis: 0,
				acquireTimeoutMillis: 0,
				idleTimeoutMillis: 0,
				stopsAt: ["validate"],
			});
			const waiter = follow(pool.acquire());
			await settle();
			await clock.advance(1_000_000);
			expect(waiter.state).to.equal("pending");
			at(driver.validations, 0).succeed(true);
			await settle();
			expect(waiter.value).to.equal(idle[0]);
		});
	});

	describe("destroyTimeoutMillis", () => {
		it("stops counting a connection that does not end, and says that it did not end politely", async () => {
			const { pool, driver, clock } = setUp({ max: 1, destroyTimeoutMillis: 300, stopsAt: ["destroy"] });
			const ended: unknown[] = [];
			pool.on("destroy", (connection, error) => ended.push(connection, error));
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			pool.release(held, { destroy: true });
			await clock.advance(299);
			expect(pool.stats()).to.include({ destroying: 1, pending: 1 });
			expect(driver.connects).to.have.lengthOf(1);

			await clock.advance(1);
			expect(waiter.state).to.equal("fulfilled");
			expect(pool.stats()).to.include({ destroying: 0, used: 1, total: 1 });
			expect(ended[0]).to.equal(held);
			expect(ended[1]).to.be.instanceOf(Error).with.property("message").that.includes("within 300 ms");
		});

		it("ignores the end that comes afterwards", async () => {
			const { pool, driver, clock } = setUp({ destroyTimeoutMillis: 300, stopsAt: ["destroy"] });
			let count = 0;
			pool.on("destroy", () => count++);
			pool.release(await pool.acquire(), { destroy: true });
			await clock.advance(300);
			at(driver.destroys, 0).succeed();
			await settle();
			expect(count).to.equal(1);
			expect(pool.stats().total).to.equal(0);
		});

		it("is off at 0", async () => {
			const { pool, driver, clock } = setUp({ destroyTimeoutMillis: 0, stopsAt: ["destroy"] });
			pool.release(await pool.acquire(), { destroy: true });
			await clock.advance(1_000_000);
			expect(pool.stats()).to.include({ destroying: 1, total: 1 });
			at(driver.destroys, 0).succeed();
			await settle();
			expect(pool.stats().total).to.equal(0);
		});
	});

	describe("idleTimeoutMillis", () => {
		it("closes a connection that nobody has used for that time", async () => {
			const { pool, driver, clock, idle } = await setUpIdle(1, { idleTimeoutMillis: 10_000, maintenanceIntervalMillis: 1_000 });
			await clock.advance(10_000);
			expect(pool.stats().idle).to.equal(1);
			await clock.advance(2_000);
			expect(driver.destroyed).to.deep.equal(idle);
			expect(pool.stats().total).to.equal(0);
		});

		it("begins anew with each use", async () => {
			const { pool, clock, driver } = await setUpIdle(1, { idleTimeoutMillis: 10_000 });
			for (let round = 0; round < 5; round++) {
				await clock.advance(9_000);
				pool.release(await pool.acquire());
			}
			expect(driver.destroyed).to.have.lengthOf(0);
			expect(driver.connects).to.have.lengthOf(1);
		});

		it("closes those that are not needed, and keeps the one that is used again and again", async () => {
			const { pool, clock, driver, idle } = await setUpIdle(3, { idleTimeoutMillis: 10_000 });
			for (let round = 0; round < 15; round++) {
				await clock.advance(1_000);
				pool.release(await pool.acquire());
			}
			expect(driver.destroyed).to.have.members(idle.slice(0, 2));
			expect(pool.stats()).to.include({ idle: 1, total: 1 });
		});

		it("never ends a connection in use", async () => {
			const { pool, clock, driver } = setUp({ idleTimeoutMillis: 10_000 });
			await pool.acquire();
			await clock.advance(1_000_000);
			expect(driver.destroyed).to.have.lengthOf(0);
		});

		it("is kept to when it is shorter than the maintenance interval", async () => {
			const { pool, clock } = await setUpIdle(1, { idleTimeoutMillis: 40, maintenanceIntervalMillis: 60_000 });
			await clock.advance(80);
			expect(pool.stats().total).to.equal(0);
		});

		it("is off at 0", async () => {
			const { pool, clock } = await setUpIdle(2, { idleTimeoutMillis: 0 });
			await clock.advance(1_000_000);
			expect(pool.stats().idle).to.equal(2);
		});
	});

	describe("maxLifetimeMillis", () => {
		it("closes an idle connection that is older", async () => {
			const { pool, driver, clock, idle } = await setUpIdle(1, { idleTimeoutMillis: 0, maxLifetimeMillis: 60_000 });
			await clock.advance(59_000);
			expect(pool.stats().idle).to.equal(1);
			await clock.advance(2_000);
			expect(driver.destroyed).to.deep.equal(idle);
		});

		it("closes a connection in use that is older when it comes back, and not before", async () => {
			const { pool, driver, clock } = setUp({ idleTimeoutMillis: 0, maxLifetimeMillis: 60_000 });
			const held = await pool.acquire();
			await clock.advance(120_000);
			expect(driver.destroyed).to.have.lengthOf(0);
			pool.release(held);
			expect(driver.destroyed).to.deep.equal([held]);
			expect(pool.stats().idle).to.equal(0);
		});

		it("serves the waiter with a new one in its place", async () => {
			const { pool, clock } = setUp({ max: 1, maxLifetimeMillis: 60_000, acquireTimeoutMillis: 0 });
			const held = await pool.acquire();
			await clock.advance(120_000);
			const waiter = follow(pool.acquire());
			pool.release(held);
			await settle();
			expect(waiter.state).to.equal("fulfilled");
			expect(waiter.value).not.to.equal(held);
		});

		it("is off at 0", async () => {
			const { pool, clock } = await setUpIdle(1, { idleTimeoutMillis: 0 });
			await clock.advance(1_000_000);
			expect(pool.stats().idle).to.equal(1);
		});
	});

	describe("after a stopped process goes on", () => {
		it("lets the waiter have a connection that came back, though all timers fire at once", async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 500 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			pool.release(held);
			clock.jump(60_000);
			await settle();
			expect(waiter.value).to.equal(held);
		});
	});
});
