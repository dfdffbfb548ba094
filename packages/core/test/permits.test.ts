import { expect } from "chai";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { AcquireTimeoutError, ConnectError, Pool, type PoolOptions, ResumedError, reportProcessChange } from "../src/index.ts";
import { at } from "./support/at.ts";
import { survivors } from "./support/collection.ts";
import { GatedDriver, type GatedDriverOptions, Transient } from "./support/gated-driver.ts";
import { GatedPermits } from "./support/gated-permits.ts";
import { acquireMany, type SetUp, setUp, setUpIdle } from "./support/set-up.ts";

function setUpWith(permits: GatedPermits, options: PoolOptions & GatedDriverOptions = {}): SetUp {
	return setUp({ max: 5, ...options, permits });
}

describe("permits", () => {
	describe("are taken", () => {
		it("before a connect begins, one for each, and none for a connection that is there", async () => {
			const permits = new GatedPermits(2);
			const { pool, driver } = setUpWith(permits);
			const connections = await acquireMany(pool, 2);
			expect(permits).to.include({ held: 2, free: 0 });
			for (const connection of connections) pool.release(connection);
			await acquireMany(pool, 2);
			expect(permits.held).to.equal(2);
			expect(driver.connects).to.have.lengthOf(2);
		});

		it("before a connect begins that has to wait for one, and counts as connecting meanwhile", async () => {
			const permits = new GatedPermits();
			const { pool, driver } = setUpWith(permits);
			const waiter = follow(pool.acquire());
			await settle();
			expect(driver.connects).to.have.lengthOf(0);
			expect(pool.stats()).to.include({ connecting: 1, total: 1, pending: 1 });
			at(permits.requests, 0).grant();
			await settle();
			expect(waiter.state).to.equal("fulfilled");
			expect(pool.stats()).to.include({ connecting: 0, used: 1 });
		});

		it("without the time that a connect may take: that begins when the permit is there", async () => {
			const permits = new GatedPermits();
			const { pool, driver, clock } = setUpWith(permits, { stopsAt: ["connect"], connectTimeoutMillis: 100 });
			const waiter = follow(pool.acquire({ timeoutMillis: 10_000 }));
			await clock.advance(5_000);
			expect(waiter.state).to.equal("pending");
			at(permits.requests, 0).grant();
			await clock.advance(99);
			expect(at(driver.connects, 0).signal.aborted).to.equal(false);
			await clock.advance(1);
			expect(waiter.reason).to.be.instanceOf(ConnectError);
		});

		it("never more than are given, whatever max is", async () => {
			const permits = new GatedPermits(3);
			const { pool, driver } = setUpWith(permits, { max: 20 });
			const waiters = Array.from({ length: 20 }, () => follow(pool.acquire()));
			await settle();
			expect(driver.connects).to.have.lengthOf(3);
			expect(waiters.filter(({ state }) => state === "fulfilled")).to.have.lengthOf(3);
		});

		it("or refused: then whoever waits is told why, and nothing is given back", async () => {
			const permits = new GatedPermits();
			const { pool } = setUpWith(permits);
			const waiter = follow(pool.acquire());
			at(permits.requests, 0).refuse(new Error("no budget"));
			await settle();
			expect(waiter.reason).to.be.instanceOf(ConnectError).with.property("message", "no connection could be opened: no budget");
			expect(permits.held).to.equal(0);
		});

		it("or refused by throwing", async () => {
			const permits = new GatedPermits();
			permits.acquire = () => {
				throw new Error("no budget");
			};
			expect((await rejection(setUpWith(permits).pool.acquire())).message).to.include("no budget");
			expect(permits.held).to.equal(0);
		});
	});

	describe("that nobody needs any more", () => {
		it("are not waited for when a connection has come back meanwhile", async () => {
			const permits = new GatedPermits(1);
			const { pool } = setUpWith(permits);
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			pool.release(held);
			await settle();
			expect(waiter.value).to.equal(held);
			expect(at(permits.requests, 0).signal.aborted).to.equal(true);
			expect(pool.stats()).to.include({ connecting: 0, total: 1 });
		});

		it("are waited for as long as others wait", async () => {
			const permits = new GatedPermits(1);
			const { pool } = setUpWith(permits);
			const held = await pool.acquire();
			for (let count = 0; count < 3; count++) follow(pool.acquire());
			pool.release(held);
			await settle();
			expect(permits.requests.map(({ signal }) => signal.aborted)).to.deep.equal([false, false, true]);
		});

		it("are not waited for when the acquire was given up, or its time was up, which says what it waited for", async () => {
			const permits = new GatedPermits();
			const { pool, clock } = setUpWith(permits, { acquireTimeoutMillis: 50 });
			const controller = new AbortController();
			follow(pool.acquire({ signal: controller.signal }));
			controller.abort();
			expect(at(permits.requests, 0).signal.aborted).to.equal(true);
			const waiter = follow(pool.acquire());
			await clock.advance(50);
			expect(waiter.reason).to.be.instanceOf(AcquireTimeoutError).and.include({ phase: "permit" });
			expect((waiter.reason as Error).message).to.include("raise the total of the budget");
			expect(at(permits.requests, 1).signal.aborted).to.equal(true);
			expect(pool.stats().total).to.equal(0);
		});

		it("are given back when they come all the same", async () => {
			const permits = new GatedPermits();
			const { pool, driver } = setUpWith(permits);
			const controller = new AbortController();
			follow(pool.acquire({ signal: controller.signal }));
			controller.abort();
			at(permits.requests, 0).grant();
			await settle();
			expect(permits.held).to.equal(0);
			expect(driver.connects).to.have.lengthOf(0);
		});

		for (const end of ["close", "drain", "suspend"] as const) {
			it(`are not waited for by a pool that is told to ${end}`, async () => {
				const permits = new GatedPermits();
				const { pool } = setUpWith(permits);
				follow(pool.acquire());
				await pool[end]();
				expect(at(permits.requests, 0).signal.aborted).to.equal(true);
				expect(pool.stats()).to.include({ total: 0 });
			});
		}

		it("are asked for again by a pool that is resumed", async () => {
			const permits = new GatedPermits();
			const { pool } = setUpWith(permits);
			const waiter = follow(pool.acquire());
			pool.suspend().catch((error: unknown) => expect(error).to.be.instanceOf(ResumedError));
			pool.resume();
			at(permits.requests, 1).grant();
			await settle();
			expect(waiter.state).to.equal("fulfilled");
		});
	});

	describe("are given back exactly once", () => {
		it("when a connection has ended, not before", async () => {
			const permits = new GatedPermits(1);
			const { pool, driver } = setUpWith(permits, { stopsAt: ["destroy"] });
			pool.release(await pool.acquire(), { destroy: true });
			await settle();
			expect(permits.held).to.equal(1);
			at(driver.destroys, 0).succeed();
			await settle();
			expect(permits.held).to.equal(0);
		});

		it("when an end has failed", async () => {
			const permits = new GatedPermits(1);
			const { pool, driver } = setUpWith(permits, { stopsAt: ["destroy"] });
			pool.release(await pool.acquire(), { destroy: true });
			at(driver.destroys, 0).fail(new Error("broken pipe"));
			await settle();
			expect(permits.held).to.equal(0);
		});

		it("when an end that took too long has come about after all", async () => {
			const permits = new GatedPermits(1);
			const { pool, driver, clock } = setUpWith(permits, { stopsAt: ["destroy"], destroyTimeoutMillis: 100 });
			pool.release(await pool.acquire(), { destroy: true });
			await clock.advance(1_000);
			expect(pool.stats().total).to.equal(0);
			expect(permits.held, "while the session may still be there").to.equal(1);
			at(driver.destroys, 0).succeed();
			await settle();
			expect(permits.held).to.equal(0);
		});

		for (const [how, error] of [
			["fails", new Error("refused")],
			["fails for a reason that passes", new Transient("starting up")],
		] as const) {
			it(`when a connect ${how}`, async () => {
				const permits = new GatedPermits(1);
				const { pool, driver } = setUpWith(permits, { stopsAt: ["connect"] });
				follow(pool.acquire());
				at(driver.connects, 0).fail(error);
				await settle();
				expect(permits.held).to.equal(0);
			});
		}

		for (const answer of ["open", "fail"] as const) {
			it(`when a connect whose time was up, and that did not heed it, does ${answer} in the end`, async () => {
				const permits = new GatedPermits(1);
				const { pool, driver, clock } = setUpWith(permits, {
					stopsAt: ["connect"],
					connectTimeoutMillis: 100,
					destroyTimeoutMillis: 100,
				});
				follow(pool.acquire());
				await clock.advance(10_000);
				expect(pool.stats().total, "counted by the pool").to.equal(0);
				expect(permits.held).to.equal(1);
				at(driver.connects, 0)[answer](new Error("too late"));
				await settle();
				expect(permits.held).to.equal(0);
			});
		}

		it("when the pool closes, whatever its connections were doing", async () => {
			const permits = new GatedPermits(3);
			const { pool, driver } = setUpWith(permits);
			const [first] = await acquireMany(pool, 2);
			pool.release(first as never);
			driver.stopsAt.add("connect");
			for (let count = 0; count < 3; count++) follow(pool.acquire());
			const closed = pool.close();
			for (const connect of driver.connects.slice(2)) connect.open();
			await closed;
			expect(driver.connects).to.have.lengthOf(3);
			expect(permits.held).to.equal(0);
		});
	});

	describe("of another process", () => {
		it("are not given back by this one, whatever its connections were doing at the change", async () => {
			const permits = new GatedPermits(4);
			const { pool, driver, clock } = setUpWith(permits, { max: 6, destroyTimeoutMillis: 100 });
			const [idle, lingering, , destroying] = await acquireMany(pool, 4);
			pool.release(idle as never);
			driver.stopsAt.add("destroy").add("connect");
			pool.release(lingering as never, { destroy: true });
			await clock.advance(1_000);
			pool.release(destroying as never, { destroy: true });
			permits.free = 1;
			follow(pool.acquire()); // the idle one
			follow(pool.acquire()); // connects
			follow(pool.acquire()); // waits for a permit
			await settle();
			expect(pool.stats()).to.include({ used: 2, destroying: 1, connecting: 2 });
			expect(permits.held).to.equal(5);

			reportProcessChange();
			at(permits.requests, 0).grant();
			for (const gate of driver.destroys) gate.succeed();
			at(driver.connects, -1).open();
			await settle();
			await pool.close();
			expect(permits.held, "5, and the one that came too late").to.equal(6);
		});

		it("are taken anew for what this one opens", async () => {
			const permits = new GatedPermits(2);
			const { pool } = setUpWith(permits);
			await pool.acquire();
			reportProcessChange();
			pool.release(await pool.acquire(), { destroy: true });
			await settle();
			expect(permits).to.include({ free: 0, held: 1 });
		});
	});

	describe("that others need", () => {
		it("are given back at once by ending idle connections, those idle longest first, and no more than are needed", async () => {
			const permits = new GatedPermits(3);
			const { pool, driver, idle } = await setUpIdle(3, { max: 5, permits });
			permits.want(2);
			await settle();
			expect(driver.destroyed).to.deep.equal(idle.slice(0, 2));
			expect(permits.held).to.equal(1);
			expect(pool.stats()).to.include({ idle: 1, total: 1 });
		});

		it("are given back by the connections that come back first, and no more than are needed", async () => {
			const permits = new GatedPermits(3);
			const { pool, driver } = setUpWith(permits);
			const [first, second, third] = await acquireMany(pool, 3);
			permits.want(1);
			pool.release(second as never);
			pool.release(first as never);
			pool.release(third as never);
			await settle();
			expect(driver.destroyed).to.deep.equal([second]);
			expect(permits.held).to.equal(2);
			expect(pool.stats()).to.include({ idle: 2 });
		});

		it("are given back although somebody waits in this pool, who then waits for a permit", async () => {
			const permits = new GatedPermits(1);
			const { pool } = setUpWith(permits, { max: 1 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			permits.want(1);
			pool.release(held);
			await settle();
			expect(permits.held).to.equal(0);
			expect(waiter.state).to.equal("pending");
			at(permits.requests, -1).grant();
			await settle();
			expect(waiter.state).to.equal("fulfilled");
		});

		it("are given back by a connection that was being validated, when it comes back", async () => {
			const permits = new GatedPermits(1);
			const { pool, driver, idle } = await setUpIdle(1, { permits, stopsAt: ["validate"] });
			const waiter = follow(pool.acquire());
			await settle();
			permits.want(1);
			at(driver.validations, 0).succeed(true);
			await settle();
			expect(waiter.value).to.equal(at(idle, 0));
			pool.release(at(idle, 0));
			await settle();
			expect(permits.held).to.equal(0);
		});

		it("are given back by a connection that was being opened, and that nobody needs any more", async () => {
			const permits = new GatedPermits(1);
			const { pool, driver } = setUpWith(permits, { stopsAt: ["connect"] });
			const controller = new AbortController();
			follow(pool.acquire({ signal: controller.signal }));
			permits.want(1);
			controller.abort();
			at(driver.connects, 0).open();
			await settle();
			expect(permits.held).to.equal(0);
		});

		it("are kept when they are not needed any more by the time the connection comes back", async () => {
			const permits = new GatedPermits(1);
			const { pool } = setUpWith(permits);
			const connection = await pool.acquire();
			permits.want(1);
			permits.wanted = 0;
			pool.release(connection);
			expect(pool.stats()).to.include({ idle: 1 });
		});

		it("change nothing for a connection that is to be ended anyway", async () => {
			const permits = new GatedPermits(2);
			const { pool, driver } = setUpWith(permits, { maxUses: 1 });
			const [usedUp, other] = await acquireMany(pool, 2);
			permits.want(1);
			permits.wanted = 0;
			pool.release(usedUp as never);
			permits.want(1);
			permits.wanted = 0;
			pool.evict();
			pool.release(other as never);
			await settle();
			expect(driver.destroyed).to.deep.equal([usedUp, other]);
			expect(permits.idleMillis).to.deep.equal([]);
		});

		it("says for how long each connection has been seen idle", async () => {
			const permits = new GatedPermits(2);
			const { pool, clock } = await setUpIdle(2, { permits, idleTimeoutMillis: 0, maintenanceIntervalMillis: 100 });
			await clock.advance(350);
			pool.release(await pool.acquire());
			permits.want(0);
			expect(permits.idleMillis).to.deep.equal([250, 0]);
		});

		it("are no longer asked for in a pool that has closed, and a pool that nobody has any more is collected", async () => {
			const permits = new GatedPermits(1);
			const { pool } = setUpWith(permits);
			await pool.close();
			expect(permits.listeners.size).to.equal(0);
			const forgotten = ((): WeakRef<object> => new WeakRef(new Pool(new GatedDriver(), { permits })))();
			expect(permits.listeners.size).to.equal(1);
			expect(await survivors([forgotten])).to.equal(0);
			permits.want(1);
		});
	});
});
