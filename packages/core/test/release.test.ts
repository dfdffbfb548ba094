import { expect } from "chai";
import { follow, settle, thrown } from "../../../test/support/promises.ts";
import { OptionError, ReleaseError } from "../src/index.ts";
import { at } from "./support/at.ts";
import { Connection } from "./support/gated-driver.ts";
import { setUp, setUpIdle } from "./support/set-up.ts";

describe("release", () => {
	it("makes the connection idle", async () => {
		const { pool } = setUp();
		pool.release(await pool.acquire());
		expect(pool.stats()).to.include({ used: 0, idle: 1, total: 1 });
	});

	it("throws ReleaseError for a connection that is in the pool already, and leaves it there", async () => {
		const { pool, idle } = await setUpIdle(1);
		expect(thrown(() => pool.release(at(idle, 0))))
			.to.be.instanceOf(ReleaseError)
			.and.to.include({ code: "ERR_FORKSAFE_RELEASE" });
		expect(thrown(() => pool.release(at(idle, 0), { destroy: true }))).to.be.instanceOf(ReleaseError);
		expect(pool.stats()).to.include({ idle: 1, total: 1 });
	});

	it("throws ReleaseError for a connection that is being validated for somebody else", async () => {
		const { pool, idle } = await setUpIdle(1, { stopsAt: ["validate"] });
		follow(pool.acquire());
		await settle();
		expect(thrown(() => pool.release(at(idle, 0)))).to.be.instanceOf(ReleaseError);
		expect(pool.stats()).to.include({ validating: 1, pending: 1 });
	});

	it("throws ReleaseError for a connection of another pool, and for none of any pool", async () => {
		const { pool } = setUp();
		const other = setUp();
		const stranger = await other.pool.acquire();
		expect(thrown(() => pool.release(stranger)))
			.to.be.instanceOf(ReleaseError)
			.with.property("message")
			.that.includes("never");
		expect(thrown(() => pool.release(new Connection(7)))).to.be.instanceOf(ReleaseError);
		expect(pool.stats().total).to.equal(0);
		expect(other.pool.stats().used).to.equal(1);
	});

	it("ignores a connection that has ended meanwhile", async () => {
		const { pool, driver } = setUp({ stopsAt: ["destroy"] });
		const held = await pool.acquire();
		pool.release(held, { destroy: true });
		pool.release(held);
		at(driver.destroys, 0).succeed();
		await settle();
		pool.release(held);
		pool.release(held, { destroy: true });
		expect(driver.destroyed).to.deep.equal([held]);
		expect(pool.stats().total).to.equal(0);
	});

	it("refuses options that do not exist, and keeps the connection in use", async () => {
		const { pool } = setUp();
		const held = await pool.acquire();
		const error = thrown(() => pool.release(held, { destory: true } as object));
		expect(error).to.be.instanceOf(OptionError).with.property("message").that.includes("did you mean destroy?");
		expect(pool.stats().used).to.equal(1);
		pool.release(held);
		expect(pool.stats().idle).to.equal(1);
	});

	describe("with destroy", () => {
		it("ends the connection, which counts until it has gone", async () => {
			const { pool, driver } = setUp({ max: 1, stopsAt: ["destroy"] });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			pool.release(held, { destroy: true });
			await settle();
			expect(pool.stats()).to.include({ destroying: 1, used: 0, total: 1, pending: 1 });
			expect(driver.connects).to.have.lengthOf(1);

			at(driver.destroys, 0).succeed();
			await settle();
			expect(waiter.state).to.equal("fulfilled");
			expect(waiter.value).not.to.equal(held);
		});

		it("keeps the connection when it is false", async () => {
			const { pool } = setUp();
			pool.release(await pool.acquire(), { destroy: false });
			expect(pool.stats().idle).to.equal(1);
		});

		it("says so in an event, with the error of a driver that fails at it", async () => {
			const { pool, driver } = setUp({ stopsAt: ["destroy"] });
			const ended: unknown[] = [];
			pool.on("destroy", (connection, error) => ended.push([connection, error]));
			const [first, second] = [await pool.acquire(), await pool.acquire()];
			for (const held of [first, second]) pool.release(held, { destroy: true });
			expect(ended).to.deep.equal([]);
			const error = new Error("broken pipe");
			at(driver.destroys, 0).succeed();
			at(driver.destroys, 1).fail(error);
			await settle();
			expect(ended).to.deep.equal([
				[first, undefined],
				[second, error],
			]);
			expect(pool.stats().total).to.equal(0);
		});

		it("makes room also when the driver throws", async () => {
			const { pool, driver } = setUp({ max: 1 });
			driver.destroy = () => {
				throw new Error("no");
			};
			pool.release(await pool.acquire(), { destroy: true });
			await settle();
			expect(pool.stats().total).to.equal(0);
			await pool.acquire();
		});
	});

	describe("of a dead connection", () => {
		it("ends it instead of keeping it", async () => {
			const { pool, driver } = setUp();
			const held = await pool.acquire();
			held.isAlive = false;
			pool.release(held);
			expect(driver.destroyed).to.deep.equal([held]);
			await settle();
			expect(pool.stats().total).to.equal(0);
		});

		it("serves the waiter with another", async () => {
			const { pool } = setUp({ max: 1 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			held.isAlive = false;
			pool.release(held);
			await settle();
			expect(waiter.state).to.equal("fulfilled");
			expect(waiter.value).not.to.equal(held);
		});
	});

	describe("with maxUses", () => {
		it("ends a connection that was handed out so often", async () => {
			const { pool, driver } = setUp({ maxUses: 2 });
			const first = await pool.acquire();
			pool.release(first);
			expect(await pool.acquire()).to.equal(first);
			pool.release(first);
			expect(driver.destroyed).to.deep.equal([first]);
			expect(await pool.acquire()).not.to.equal(first);
		});

		it("serves the waiter with another", async () => {
			const { pool } = setUp({ max: 1, maxUses: 1 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			pool.release(held);
			await settle();
			expect(waiter.state).to.equal("fulfilled");
			expect(waiter.value).not.to.equal(held);
		});
	});

	describe("after invalidate", () => {
		it("has ended an idle connection at once", async () => {
			const { pool, driver, idle } = await setUpIdle(3);
			pool.invalidate(at(idle, 1));
			expect(driver.destroyed).to.deep.equal([idle[1]]);
			expect(pool.stats()).to.include({ idle: 2 });
			expect(await pool.acquire()).to.equal(idle[2]);
			expect(await pool.acquire()).to.equal(idle[0]);
		});

		it("ends a connection in use when it comes back, and not before", async () => {
			const { pool, driver } = setUp();
			const held = await pool.acquire();
			pool.invalidate(held);
			expect(driver.destroyed).to.have.lengthOf(0);
			expect(pool.stats().used).to.equal(1);
			pool.release(held);
			expect(driver.destroyed).to.deep.equal([held]);
		});

		it("does not hand out a connection that was being validated", async () => {
			const { pool, driver, idle } = await setUpIdle(1, { stopsAt: ["validate"] });
			const waiter = follow(pool.acquire());
			await settle();
			pool.invalidate(at(idle, 0));
			at(driver.validations, 0).succeed(true);
			await settle();
			expect(driver.destroyed).to.deep.equal(idle);
			expect(waiter.state).to.equal("fulfilled");
			expect(waiter.value).not.to.equal(idle[0]);
		});

		it("ignores what is not, or no longer, in the pool", async () => {
			const { pool, driver } = setUp();
			const held = await pool.acquire();
			pool.release(held, { destroy: true });
			await settle();
			pool.invalidate(held);
			pool.invalidate(new Connection(7));
			expect(driver.destroyed).to.deep.equal([held]);
		});
	});
});
