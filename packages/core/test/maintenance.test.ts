import { expect } from "chai";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { follow, settle } from "../../../test/support/promises.ts";
import { currentGeneration, reportProcessChange } from "../src/index.ts";
import { at } from "./support/at.ts";
import { acquireMany, setUp, setUpIdle } from "./support/set-up.ts";

describe("maintenance", () => {
	it("begins with the first connect, and never keeps the process alive", async () => {
		const { pool, clock } = setUp();
		expect(clock.running).to.equal(0);
		await pool.acquire();
		expect(clock).to.include({ running: 1, holdingProcess: 0 });
	});

	it("goes on while there are connections", async () => {
		const { pool, clock } = setUp();
		await pool.acquire();
		await clock.advance(50_000);
		expect(clock.running).to.equal(1);
	});

	it("stops when none is left, and begins again with the next connect", async () => {
		const { pool, clock } = setUp();
		pool.release(await pool.acquire(), { destroy: true });
		await clock.advance(1_000);
		expect(clock.running).to.equal(0);
		await pool.acquire();
		expect(clock.running).to.equal(1);
	});

	it("stops when the pool closes", async () => {
		const { pool, clock } = await setUpIdle(1);
		await pool.drain();
		expect(clock.running).to.equal(0);
	});

	it("keeps min connections, the ones used last", async () => {
		const { pool, clock, driver, idle } = await setUpIdle(5, { min: 2 });
		await clock.advance(100_000);
		expect(pool.stats()).to.include({ idle: 2, total: 2 });
		expect(driver.destroyed).to.have.members(idle.slice(0, 3));
	});

	it("counts connections in use towards min", async () => {
		const { pool, clock } = await setUpIdle(5, { min: 2 });
		await acquireMany(pool, 2);
		await clock.advance(100_000);
		expect(pool.stats()).to.include({ used: 2, idle: 0, total: 2 });
	});

	it("replaces those below min whose lifetime is over, or that were lost, one in a tick", async () => {
		const { pool, clock, driver } = await setUpIdle(2, { min: 2, maxLifetimeMillis: 60_000 });
		await clock.advance(60_000);
		expect(driver.destroyed).to.have.lengthOf(2);
		expect(pool.stats()).to.include({ idle: 1, total: 1 });
		await clock.advance(1_000);
		expect(pool.stats()).to.include({ idle: 2, total: 2 });
		await clock.advance(10_000);
		expect(driver.connects).to.have.lengthOf(4);
	});

	it("replaces them at moments chosen by chance, so that processes that tick together do not all connect at once", async () => {
		const draws = [0.9, 0.5, 0.7, 0.4];
		const { pool, clock } = await setUpIdle(1, { min: 1, random: () => draws.shift() ?? 0 });
		pool.evict();
		for (const total of [0, 0, 0, 1]) {
			await clock.advance(1_000);
			expect(pool.stats().total).to.equal(total);
		}
	});

	it("opens none for min before anybody has asked, neither in the first process nor in the next ones", async () => {
		const { pool, clock, driver } = setUp({ min: 2 });
		pool.maintain();
		await clock.advance(10_000);
		expect(driver.connects).to.have.lengthOf(0);
		pool.release(await pool.acquire());
		reportProcessChange();
		await clock.advance(10_000);
		expect(driver.connects).to.have.lengthOf(1);
		expect(pool.stats().total).to.equal(0);
	});

	it("gives min up when a connect fails for good, until one succeeds", async () => {
		const { pool, clock, driver } = await setUpIdle(1, { min: 1 });
		driver.stopsAt.add("connect");
		pool.evict();
		await clock.advance(1_000);
		at(driver.connects, 1).fail(new Error("wrong password"));
		await clock.advance(60_000);
		expect(driver.connects).to.have.lengthOf(2);
		driver.stopsAt.delete("connect");
		pool.release(await pool.acquire());
		pool.evict();
		await clock.advance(1_000);
		expect(driver.connects).to.have.lengthOf(4);
	});

	it("does not end a connection twice that takes long to end", async () => {
		const { clock, driver, idle } = await setUpIdle(1, {
			idleTimeoutMillis: 1_000,
			destroyTimeoutMillis: 0,
			stopsAt: ["destroy"],
		});
		await clock.advance(60_000);
		expect(driver.destroyed).to.deep.equal(idle);
	});

	it("lets a waiter have the room of what it has ended", async () => {
		const { pool, clock, driver } = setUp({ max: 1, maxLifetimeMillis: 5_000, stopsAt: ["destroy"] });
		pool.release(await pool.acquire());
		await clock.advance(6_000);
		const waiter = follow(pool.acquire());
		await settle();
		expect(waiter.state).to.equal("pending");
		at(driver.destroys, 0).succeed();
		await settle();
		expect(waiter.state).to.equal("fulfilled");
	});

	describe("on a process that was copied unnoticed", () => {
		const fake = new FakeProcess();

		before(function () {
			if (process.platform === "win32") this.skip();
		});

		afterEach(() => fake.restore());

		it("notices a double fork that the parent's pid does not give away", async () => {
			const { pool, driver, clock, idle } = await setUpIdle(2);
			const generation = currentGeneration();
			fake.setPid(990_001);
			expect(currentGeneration()).to.equal(generation);
			await clock.advance(1_000);
			expect(driver.discarded).to.have.members(idle);
			expect(driver.destroyed).to.have.lengthOf(0);
			expect(pool.stats()).to.include({ total: 0, generation: generation + 1 });
		});

		it("does not look with processWatch: off", async () => {
			const { driver, clock } = await setUpIdle(1, { processWatch: "off", idleTimeoutMillis: 0 });
			fake.setPid(990_002);
			await clock.advance(5_000);
			expect(fake.asked).to.equal(0);
			expect(driver.discards).to.have.lengthOf(0);
		});

		it("ends nothing of another process, however old it is", async () => {
			const { driver, clock, idle } = await setUpIdle(2, { idleTimeoutMillis: 1_000, maxLifetimeMillis: 1_000 });
			fake.fork(990_003, process.pid);
			clock.jump(60_000);
			expect(driver.destroyed).to.have.lengthOf(0);
			expect(driver.discarded).to.have.members(idle);
		});
	});
});
