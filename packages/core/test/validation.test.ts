import { expect } from "chai";
import { follow, settle } from "../../../test/support/promises.ts";
import { at } from "./support/at.ts";
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
