import { expect } from "chai";
import { follow, settle } from "../../../test/support/promises.ts";
import type { PoolOptions } from "../src/index.ts";
import { at } from "./support/at.ts";
import type { Connection } from "./support/gated-driver.ts";
import { setUp, setUpIdle } from "./support/set-up.ts";

describe("validation", () => {
	it("is not asked for a new connection", async () => {
		const { pool, driver } = setUp({ validates: true });
		await pool.acquire();
		expect(driver.validations).to.have.lengthOf(0);
	});

	it("is not asked when a connection passes from hand to hand", async () => {
		const { pool, driver } = setUp({ max: 1, validates: true });
		const held = await pool.acquire();
		const waiter = follow(pool.acquire());
		await settle();
		pool.release(held);
		await settle();
		expect(waiter.value).to.equal(held);
		expect(driver.validations).to.have.lengthOf(0);
	});

	it("comes before an idle connection is handed out", async () => {
		const { pool, driver, idle } = await setUpIdle(1, { stopsAt: ["validate"] });
		const waiter = follow(pool.acquire());
		await settle();
		expect(waiter.state).to.equal("pending");
		expect(pool.stats()).to.include({ validating: 1, idle: 0, used: 0, total: 1, pending: 1 });
		at(driver.validations, 0).succeed(true);
		await settle();
		expect(waiter.value).to.equal(idle[0]);
		expect(pool.stats()).to.include({ validating: 0, used: 1, total: 1, pending: 0 });
	});

	for (const [verdict, open] of [
		["answers no", (gate: Verdict) => gate.succeed(false)],
		["fails", (gate: Verdict) => gate.fail(new Error("gone"))],
		["answers with something else than true", (gate: Verdict) => gate.succeed("yes" as unknown as boolean)],
	] as const) {
		it(`ends a connection when it ${verdict}, and tries the next idle one`, async () => {
			const { pool, driver, idle } = await setUpIdle(2, { stopsAt: ["validate"] });
			const waiter = follow(pool.acquire());
			await settle();
			open(at(driver.validations, 0));
			await settle();
			expect(driver.destroyed).to.deep.equal([idle[1]]);
			at(driver.validations, 1).succeed(true);
			await settle();
			expect(waiter.value).to.equal(idle[0]);
		});
	}

	it("opens a new connection when no idle one is left", async () => {
		const { pool, driver, idle } = await setUpIdle(1, { max: 1, stopsAt: ["validate"] });
		const waiter = follow(pool.acquire());
		await settle();
		at(driver.validations, 0).succeed(false);
		await settle();
		expect(waiter.state).to.equal("fulfilled");
		expect(waiter.value).not.to.equal(idle[0]);
	});

	it("ends a connection that has died before anybody could ask, without asking", async () => {
		const { pool, driver, idle } = await setUpIdle(2, { validates: true });
		at(idle, 1).isAlive = false;
		expect(await pool.acquire()).to.equal(idle[0]);
		expect(driver.validations.map(({ connection }) => connection)).to.deep.equal([idle[0]]);
		expect(driver.destroyed).to.deep.equal([idle[1]]);
	});

	it("ends a connection that has died after its answer", async () => {
		const { pool, driver, idle } = await setUpIdle(1, { stopsAt: ["validate"] });
		const waiter = follow(pool.acquire());
		await settle();
		at(idle, 0).isAlive = false;
		at(driver.validations, 0).succeed(true);
		await settle();
		expect(driver.destroyed).to.deep.equal(idle);
		expect(waiter.value).not.to.equal(idle[0]);
	});

	it("makes the connection idle again when nobody waits any more", async () => {
		const { pool, driver } = await setUpIdle(1, { stopsAt: ["validate"] });
		const controller = new AbortController();
		follow(pool.acquire({ signal: controller.signal }));
		await settle();
		controller.abort();
		at(driver.validations, 0).succeed(true);
		await settle();
		expect(pool.stats()).to.include({ idle: 1, validating: 0, total: 1 });
	});

	it("validates for each waiter at the same time", async () => {
		const { pool, driver } = await setUpIdle(3, { stopsAt: ["validate"] });
		for (let count = 0; count < 3; count++) follow(pool.acquire());
		await settle();
		expect(driver.validations).to.have.lengthOf(3);
		expect(pool.stats()).to.include({ validating: 3, idle: 0, connecting: 0 });
	});

	it("happens in a driver that throws, too", async () => {
		const { pool, driver, idle } = await setUpIdle(1, { validates: true });
		Object.assign(driver, {
			validate: () => {
				throw new Error("no");
			},
		});
		expect(await pool.acquire()).not.to.equal(idle[0]);
		expect(driver.destroyed).to.deep.equal(idle);
	});

	describe("by the time that a connection has been idle", () => {
		/** Takes an idle connection, with its server's farewell in the kernel: it is read in the next turn but one. */
		async function acquireAfter(idleMillis: number, options: PoolOptions = {}) {
			const { pool, driver, clock } = setUp({ validates: true, ...options });
			const connection = await pool.acquire();
			pool.release(connection);
			await clock.advance(idleMillis);
			const before = driver.validations.length;
			setImmediate(() => setImmediate(() => {}));
			const outcome = follow(pool.acquire());
			await Promise.resolve();
			const wasAtOnce = outcome.state === "fulfilled";
			await settle();
			return { isAsked: driver.validations.length > before, wasAtOnce, pool };
		}

		it("hands out at once what was used just now", async () => {
			expect(await acquireAfter(9)).to.include({ wasAtOnce: true, isAsked: false });
		});

		it("waits two turns of the event loop for what is older", async () => {
			expect(await acquireAfter(10)).to.include({ wasAtOnce: false, isAsked: false });
			expect(await acquireAfter(999)).to.include({ wasAtOnce: false, isAsked: false });
		});

		it("asks the server from validateAfterIdleMillis on", async () => {
			expect(await acquireAfter(1_001)).to.include({ isAsked: true });
			expect(await acquireAfter(201, { validateAfterIdleMillis: 200 })).to.include({ isAsked: true });
		});

		it("never asks the server at 0", async () => {
			expect(await acquireAfter(9_000, { validateAfterIdleMillis: 0 })).to.include({ wasAtOnce: false, isAsked: false });
		});

		it("reads in those two turns that the server has gone", async () => {
			const { pool, clock, idle } = await setUpIdle(1, { validates: true, validateAfterIdleMillis: 0 });
			await clock.advance(20);
			setImmediate(() => {
				at(idle, 0).isAlive = false;
			});
			expect(await pool.acquire()).not.to.equal(idle[0]);
		});

		it("goes by the time of day too, which goes on while a machine is suspended", async () => {
			const { pool, driver, clock } = setUp({ validates: true });
			pool.release(await pool.acquire());
			clock.setWallBy(60_000);
			await pool.acquire();
			expect(driver.validations).to.have.lengthOf(1);
		});

		it("asks when the time of day was set back: nobody knows how long it was", async () => {
			const { pool, driver, clock } = setUp({ validates: true });
			pool.release(await pool.acquire());
			clock.setWallBy(-60_000);
			await pool.acquire();
			expect(driver.validations).to.have.lengthOf(1);
		});

		it("goes by the monotonic clock too, when the time of day was set back by as much as has passed", async () => {
			const { pool, driver, clock } = setUp({ validates: true });
			pool.release(await pool.acquire());
			await clock.advance(5_000);
			clock.setWallBy(-5_000);
			await pool.acquire();
			expect(driver.validations).to.have.lengthOf(1);
		});

		it("does not count as idle that it was used", async () => {
			const { pool, driver, clock } = setUp({ validates: true });
			const connection = await pool.acquire();
			await clock.advance(60_000);
			pool.release(connection);
			await pool.acquire();
			expect(driver.validations).to.have.lengthOf(0);
		});

		it("begins anew with each use", async () => {
			const { pool, driver, clock } = setUp({ validates: true });
			for (let uses = 0; uses < 5; uses++) {
				const connection = follow(pool.acquire());
				await settle();
				pool.release(connection.value as Connection);
				await clock.advance(600);
			}
			expect(driver.connects).to.have.lengthOf(1);
			expect(driver.validations).to.have.lengthOf(0);
		});

		it("begins anew with a validation that was answered, and with nothing less", async () => {
			const { pool, driver, clock } = await setUpIdle(1, { validates: true, idleTimeoutMillis: 0 });
			const acquireForNobody = async (): Promise<void> => {
				const controller = new AbortController();
				follow(pool.acquire({ signal: controller.signal }));
				controller.abort();
				await settle();
			};
			await acquireForNobody();
			expect(driver.validations).to.have.lengthOf(1);
			await clock.advance(600);
			await acquireForNobody();
			expect(driver.validations).to.have.lengthOf(1);
			await clock.advance(600);
			await acquireForNobody();
			expect(driver.validations).to.have.lengthOf(2);
		});
	});

	it("that gets no answer in time tells the driver so, and ends what has been idle as long without asking", async () => {
		const { pool, driver, clock, idle } = await setUpIdle(3, { stopsAt: ["validate"], validateTimeoutMillis: 300 });
		const waiter = follow(pool.acquire());
		await settle();
		await clock.advance(300);
		expect(at(driver.validations, 0).signal).to.have.property("aborted", true);
		expect(driver.validations).to.have.lengthOf(1);
		expect(driver.destroyed).to.have.members(idle);
		expect(waiter.state).to.equal("fulfilled");
	});

	describe("without the driver's validate", () => {
		it("hands out no idle connection that is known to be dead", async () => {
			const { pool, driver, idle } = await setUpIdle(3);
			at(idle, 2).isAlive = false;
			at(idle, 1).isAlive = false;
			expect(await pool.acquire()).to.equal(idle[0]);
			expect(driver.destroyed).to.deep.equal([idle[2], idle[1]]);
		});

		it("opens a new connection when all are dead", async () => {
			const { pool, driver, idle } = await setUpIdle(2, { max: 2 });
			for (const connection of idle) connection.isAlive = false;
			const connection = await pool.acquire();
			expect(idle).not.to.include(connection);
			expect(driver.destroyed).to.have.members(idle);
		});
	});
});

interface Verdict {
	succeed(value: boolean): void;
	fail(error: unknown): void;
}
