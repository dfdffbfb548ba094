import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { expect } from "chai";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { follow } from "../../../test/support/promises.ts";
import { reportProcessChange } from "../src/index.ts";
import { acquireMany, setUp, setUpIdle } from "./support/set-up.ts";

describe("tryAcquire", () => {
	it("gives an idle connection at once, the one that was used last", async () => {
		const { pool, idle } = await setUpIdle(2);
		expect(pool.tryAcquire()).to.equal(idle[1]);
		expect(pool.stats()).to.include({ idle: 1, used: 1 });
	});

	it("gives none when there is none, and opens none", () => {
		const { pool, driver } = setUp();
		expect(pool.tryAcquire()).to.equal(undefined);
		expect(driver.connects).to.deep.equal([]);
	});

	it("gives none to who comes after somebody who waits", async () => {
		const { pool } = setUp({ max: 1 });
		const [held] = await acquireMany(pool, 1);
		const waiting = follow(pool.acquire());
		if (held !== undefined) pool.release(held);
		expect(pool.tryAcquire()).to.equal(undefined);
		await Promise.resolve();
		expect(waiting.value).to.equal(held);
	});

	it("gives none while somebody waits for another one that is being looked at", async () => {
		const { pool, clock } = setUp({ validates: true });
		const first = await pool.acquire();
		await clock.advance(100);
		const second = await pool.acquire();
		pool.release(second);
		pool.release(first);
		const waiting = follow(pool.acquire());
		// The second is idle, and young enough to be handed out at once.
		expect(pool.stats()).to.include({ validating: 1, idle: 1, pending: 1 });
		expect(pool.tryAcquire()).to.equal(undefined);
		expect(waiting.state).to.equal("pending");
	});

	it("gives none that would have to be looked at first", async () => {
		const { pool } = await setUpIdle(1, { validates: true });
		expect(pool.tryAcquire()).to.equal(undefined);
		expect(pool.stats()).to.include({ idle: 1, used: 0 });
	});

	it("gives none while acquires are traced, for there is nothing to trace", async () => {
		const { pool } = await setUpIdle(1);
		const ignore = (): void => {};
		subscribe("tracing:forksafe:pool:acquire:start", ignore);
		try {
			expect(pool.tryAcquire()).to.equal(undefined);
		} finally {
			unsubscribe("tracing:forksafe:pool:acquire:start", ignore);
		}
	});

	it("gives none of another process", async () => {
		const { pool } = await setUpIdle(1);
		reportProcessChange();
		expect(pool.tryAcquire()).to.equal(undefined);
	});

	it("gives none of another process that nobody has noticed yet", async () => {
		const { pool } = await setUpIdle(1);
		const fake = new FakeProcess();
		try {
			fake.fork(4_000_000, 3_999_999);
			expect(pool.tryAcquire()).to.equal(undefined);
		} finally {
			fake.restore();
		}
	});

	it("counts as a use", async () => {
		const { pool } = await setUpIdle(1, { maxUses: 2 });
		const connection = pool.tryAcquire();
		if (connection !== undefined) pool.release(connection);
		expect(pool.stats()).to.include({ idle: 0, used: 0 });
	});
});
