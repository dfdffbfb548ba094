import { expect } from "chai";
import { follow, settle } from "../../../test/support/promises.ts";
import { AcquireTimeoutError, ConnectError } from "../src/index.ts";
import { setUp } from "./support/set-up.ts";

describe("a process that was stopped", () => {
	for (const [when, ticks] of [
		["before the next tick", 0],
		["after many ticks", 25_500],
	] as const) {
		it(`credits those who wait with the time that it did not run, ${when}`, async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 30_000 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			await clock.advance(ticks);
			clock.jump(60_000);
			await settle();
			expect(waiter.state).to.equal("pending");
			pool.release(held);
			await settle();
			expect(waiter.value).to.equal(held);
		});
	}

	it("lets nobody wait longer than their time, what was lost, and one tick", async () => {
		const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 5_000 });
		await pool.acquire();
		const waiter = follow(pool.acquire());
		await clock.advance(2_000);
		clock.jump(60_000);
		await clock.advance(2_999);
		expect(waiter.state).to.equal("pending");
		await clock.advance(1_100);
		expect(waiter.reason).to.be.instanceOf(AcquireTimeoutError);
	});

	it("credits nobody with a stop that came before they asked", async () => {
		const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 5_000 });
		await pool.acquire();
		clock.jump(60_000);
		const waiter = follow(pool.acquire());
		await clock.advance(5_000);
		expect(waiter.reason).to.be.instanceOf(AcquireTimeoutError);
	});

	it("credits several stops", async () => {
		const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 5_000 });
		await pool.acquire();
		const waiter = follow(pool.acquire());
		for (let stop = 0; stop < 3; stop++) {
			await clock.advance(1_000);
			clock.jump(60_000);
		}
		await settle();
		expect(waiter.state).to.equal("pending");
		await clock.advance(1_900);
		expect(waiter.state).to.equal("pending");
		await clock.advance(5_000);
		expect(waiter.reason).to.be.instanceOf(AcquireTimeoutError);
	});

	it("credits a connect with the stops of its own time only: who waits for one that takes too long is told so", async () => {
		const { pool, driver, clock } = setUp({ max: 2, acquireTimeoutMillis: 5_000, connectTimeoutMillis: 5_000 });
		pool.release(await pool.acquire());
		clock.jump(60_000);
		await clock.advance(5_000);
		driver.stopsAt.add("connect");
		pool.evict();
		await settle();
		const waiters = [follow(pool.acquire()), follow(pool.acquire())];
		await clock.advance(5_000);
		for (const { reason } of waiters) expect(reason).to.be.instanceOf(ConnectError).with.property("isTimeout", true);
	});

	it("does not take a tick that is a little late for a stop", async () => {
		const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 1_200 });
		await pool.acquire();
		const waiter = follow(pool.acquire());
		clock.jump(1_200);
		await settle();
		expect(waiter.reason).to.be.instanceOf(AcquireTimeoutError);
	});
});
