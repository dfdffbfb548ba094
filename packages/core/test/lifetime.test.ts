import { expect } from "chai";
import { follow, settle } from "../../../test/support/promises.ts";
import { defaultPoolOptions, reportProcessChange } from "../src/index.ts";
import { at } from "./support/at.ts";
import { Connection } from "./support/gated-driver.ts";
import { acquireMany, setUp, setUpIdle } from "./support/set-up.ts";

describe("maxLifetimeMillis", () => {
	it("is up to a tenth shorter, by chance, so that those opened together do not all go at once", async () => {
		const draws = [0, 0.5, 1];
		const { pool, clock, driver } = await setUpIdle(3, {
			max: 3,
			idleTimeoutMillis: 0,
			maxLifetimeMillis: 100_000,
			random: () => draws.shift() ?? 0,
		});
		const ended: number[] = [];
		for (let passed = 0; passed < 101_000; passed += 1_000) {
			const before = driver.destroys.length;
			await clock.advance(1_000);
			for (let i = before; i < driver.destroys.length; i++) ended.push(passed + 1_000);
		}
		expect(ended).to.deep.equal([90_000, 95_000, 100_000]);
		expect(pool.stats().total).to.equal(0);
	});

	it("draws from the operating system by default: the children of a fork inherit the state of Math.random", () => {
		const numbers = Array.from({ length: 100 }, () => defaultPoolOptions.random());
		for (const number of numbers) expect(number).to.be.within(0, 1);
		expect(new Set(numbers).size).to.be.greaterThan(90);
	});
});

describe("evict", () => {
	it("ends what is idle now, and what is in use when it comes back", async () => {
		const { pool, driver } = await setUpIdle(3);
		const [held] = await acquireMany(pool, 1);
		pool.evict();
		expect(driver.destroys).to.have.lengthOf(2);
		await settle();
		expect(pool.stats()).to.include({ idle: 0, used: 1, total: 1 });
		pool.release(held as NonNullable<typeof held>);
		await settle();
		expect(driver.destroyed).to.include(held);
		expect(pool.stats().total).to.equal(0);
	});

	it("ends also what min would keep", async () => {
		const { pool } = await setUpIdle(2, { min: 2 });
		pool.evict();
		await settle();
		expect(pool.stats().total).to.equal(0);
	});

	it("lets a connection that is being opened serve whoever waits for it, once", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const waiter = follow(pool.acquire());
		pool.evict();
		const connection = at(driver.connects, 0).open();
		await settle();
		expect(waiter.value).to.equal(connection);
		pool.release(connection);
		await settle();
		expect(driver.destroyed).to.deep.equal([connection]);
	});

	it("ends a connection that is being opened for nobody any more", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const controller = new AbortController();
		follow(pool.acquire({ signal: controller.signal }));
		controller.abort();
		pool.evict();
		const connection = at(driver.connects, 0).open();
		await settle();
		expect(driver.destroyed).to.deep.equal([connection]);
		expect(pool.stats().total).to.equal(0);
	});

	it("ends what is being validated, and serves whoever waits with a new one", async () => {
		const { pool, driver } = await setUpIdle(1, { stopsAt: ["validate"] });
		const waiter = follow(pool.acquire());
		await settle();
		pool.evict();
		at(driver.validations, 0).succeed(true);
		await settle();
		expect(driver.destroyed).to.have.lengthOf(1);
		expect(waiter.state).to.equal("fulfilled");
		expect(driver.destroyed).not.to.include(waiter.value);
	});

	it("happens once, when several connections tell of the same thing", async () => {
		const { pool, driver, idle } = await setUpIdle(3, { max: 4 });
		const held = await acquireMany(pool, 3);
		pool.evict(at(held, 0));
		const later = await pool.acquire();
		pool.evict(at(held, 1));
		pool.release(later);
		for (const connection of held) pool.release(connection);
		await settle();
		expect(driver.destroyed).to.have.members(idle);
		expect(pool.stats().idle).to.equal(1);
		pool.evict(later);
		await settle();
		expect(pool.stats().total).to.equal(0);
	});

	it("is no business of a connection of another process, nor of a stranger", async () => {
		const { pool } = await setUpIdle(1);
		const held = await pool.acquire();
		reportProcessChange();
		pool.release(await pool.acquire());
		pool.evict(held);
		pool.evict(new Connection(99));
		await settle();
		expect(pool.stats().idle).to.equal(1);
	});

	it("leaves connections alone that are opened afterwards", async () => {
		const { pool, driver } = setUp();
		pool.evict();
		pool.release(await pool.acquire());
		await settle();
		expect(pool.stats().idle).to.equal(1);
		expect(driver.destroys).to.have.lengthOf(0);
	});
});
