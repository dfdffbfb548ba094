import { expect } from "chai";
import { countListeners } from "../../../test/support/count-listeners.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { ConnectError, OptionError, PoolClosedError, QueueFullError } from "../src/index.ts";
import { at } from "./support/at.ts";
import type { Connection, GatedDriverOptions } from "./support/gated-driver.ts";
import { acquireMany, type SetUp, setUp, setUpIdle } from "./support/set-up.ts";

describe("acquire", () => {
	describe("from idle connections", () => {
		it("hands out the connection that was used last", async () => {
			const { pool, idle } = await setUpIdle(3);
			expect(await acquireMany(pool, 3)).to.deep.equal([...idle].reverse());
		});

		it("opens nothing while one is idle", async () => {
			const { pool, driver } = await setUpIdle(1);
			await pool.acquire();
			expect(driver.connects).to.have.lengthOf(1);
		});

		it("waits for no connect that was begun for somebody else", async () => {
			for (const options of [undefined, {}, { timeoutMillis: 50 }, { signal: AbortSignal.any([]) }]) {
				const { pool, idle } = await setUpWithConnectForNobody({});
				expect(await pool.acquire(options)).to.equal(idle);
			}
		});

		it("waits for no connect that was begun for somebody else, with validation neither", async () => {
			const { pool, idle } = await setUpWithConnectForNobody({ validates: true });
			expect(await pool.acquire()).to.equal(idle);
		});

		it("refuses options that do not exist and signals that are none, before anything waits", async () => {
			const { pool, driver } = await setUpIdle(1, { max: 1 });
			for (const [options, option] of [
				[{ timeout: 5 }, "timeout"],
				[5, "options"],
				[{ signal: {} }, "signal"],
				[{ signal: "stop" }, "signal"],
				[{ timeoutMillis: -1 }, "timeoutMillis"],
			] as const) {
				expect(await rejection(pool.acquire(options as never)))
					.to.be.instanceOf(OptionError)
					.and.to.include({ option });
			}
			expect(pool.stats()).to.include({ idle: 1, used: 0, pending: 0 });
			expect(driver.connects).to.have.lengthOf(1);
		});

		it("hands the same connection to one at a time", async () => {
			const { pool } = await setUpIdle(3, { max: 3 });
			expect(new Set(await acquireMany(pool, 3)).size).to.equal(3);
		});
	});

	describe("without an idle connection", () => {
		it("opens none before the first acquire", () => {
			const { pool, driver } = setUp({ min: 5 });
			expect(driver.connects).to.have.lengthOf(0);
			expect(pool.stats()).to.include({ total: 0, min: 5 });
		});

		it("opens one connection for each waiter, up to max", async () => {
			const { pool, driver } = setUp({ max: 2, stopsAt: ["connect"] });
			const waiters = [pool.acquire(), pool.acquire(), pool.acquire()].map(follow);
			expect(driver.connects).to.have.lengthOf(2);
			expect(pool.stats()).to.include({ connecting: 2, total: 2, pending: 3 });

			for (const gate of driver.connects) gate.open();
			await settle();
			expect(waiters.map(({ state }) => state)).to.deep.equal(["fulfilled", "fulfilled", "pending"]);
			expect(pool.stats()).to.include({ used: 2, connecting: 0, total: 2, pending: 1 });
		});

		it("serves whoever waits in the order of arrival, whatever connect ends first", async () => {
			const { pool, driver } = setUp({ max: 2, stopsAt: ["connect"] });
			const first = follow(pool.acquire());
			const second = follow(pool.acquire());
			const quick = at(driver.connects, 1).open();
			await settle();
			expect(first.value).to.equal(quick);
			expect(second.state).to.equal("pending");
		});

		it("serves waiters in the order of arrival as connections come back", async () => {
			const { pool } = setUp({ max: 1 });
			const order: number[] = [];
			const held = await pool.acquire();
			const waiters = [0, 1, 2].map(async (index) => {
				const connection = await pool.acquire();
				order.push(index);
				pool.release(connection);
			});
			pool.release(held);
			await Promise.all(waiters);
			expect(order).to.deep.equal([0, 1, 2]);
		});

		it("lets nobody overtake a waiter when a connection comes back", async () => {
			const { pool } = setUp({ max: 1 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			pool.release(held);
			const late = follow(pool.acquire());
			await settle();
			expect(waiter.value).to.equal(held);
			expect(late.state).to.equal("pending");
		});

		it("hands a connection that comes back to the waiter, and keeps the one that was being opened for it", async () => {
			const { pool, driver } = setUp({ max: 2, stopsAt: ["connect"] });
			const first = follow(pool.acquire());
			const held = at(driver.connects, 0).open();
			await settle();
			const second = follow(pool.acquire());
			pool.release(held);
			await settle();
			expect([first.value, second.value]).to.deep.equal([held, held]);

			at(driver.connects, 1).open();
			await settle();
			expect(pool.stats()).to.include({ used: 1, idle: 1, total: 2 });
		});
	});

	describe("when a connect fails", () => {
		it("rejects with ConnectError, whose cause is the driver's error", async () => {
			const { pool, driver } = setUp({ stopsAt: ["connect"] });
			const error = rejection(pool.acquire());
			const cause = new Error("refused");
			at(driver.connects, 0).fail(cause);
			expect(await error)
				.to.be.instanceOf(ConnectError)
				.and.to.include({ cause, code: "ERR_FORKSAFE_CONNECT" });
			expect(pool.stats()).to.include({ total: 0, pending: 0 });
		});

		it("does not try again for the same acquire", async () => {
			const { pool, driver } = setUp({ stopsAt: ["connect"] });
			const waiter = follow(pool.acquire());
			at(driver.connects, 0).fail(new Error("refused"));
			await settle();
			expect(waiter.state).to.equal("rejected");
			expect(driver.connects).to.have.lengthOf(1);
		});

		it("rejects likewise when the driver throws instead", async () => {
			const { pool, driver } = setUp();
			const cause = new Error("no such host");
			driver.connect = () => {
				throw cause;
			};
			expect(await rejection(pool.acquire()))
				.to.be.instanceOf(ConnectError)
				.and.to.include({ cause });
		});

		it("tries once more for the next waiter", async () => {
			const { pool, driver } = setUp({ max: 1, stopsAt: ["connect"] });
			const first = follow(pool.acquire());
			const second = follow(pool.acquire());
			at(driver.connects, 0).fail(new Error("refused"));
			await settle();
			expect(first.reason).to.be.instanceOf(ConnectError);
			expect(second.state).to.equal("pending");
			const connection = at(driver.connects, 1).open();
			await settle();
			expect(second.value).to.equal(connection);
		});

		it("rejects nobody while enough other connections are on their way", async () => {
			const { pool, driver } = setUp({ max: 2, stopsAt: ["connect"] });
			const { signal, abort } = abortable();
			const first = follow(pool.acquire());
			follow(pool.acquire({ signal }));
			abort();
			at(driver.connects, 0).fail(new Error("refused"));
			await settle();
			expect(first.state).to.equal("pending");
			const connection = at(driver.connects, 1).open();
			await settle();
			expect(first.value).to.equal(connection);
		});

		it("says so in an event, also when nobody waits any more", async () => {
			const { pool, driver } = setUp({ stopsAt: ["connect"] });
			const errors: ConnectError[] = [];
			pool.on("connectError", (error) => errors.push(error));
			const { signal, abort } = abortable();
			follow(pool.acquire({ signal }));
			abort();
			const cause = new Error("refused");
			at(driver.connects, 0).fail(cause);
			await settle();
			expect(errors.map((error) => error.cause)).to.deep.equal([cause]);
		});

		it("refuses a connection that the driver has returned before, and keeps the one it is", async () => {
			const { pool, driver } = setUp();
			const held = await pool.acquire();
			driver.connect = async () => held;
			expect(await rejection(pool.acquire()))
				.to.be.instanceOf(ConnectError)
				.with.property("message")
				.that.includes("bug: ");
			expect(pool.stats()).to.include({ used: 1, total: 1 });
		});
	});

	describe("a driver without promises", () => {
		it("may return connections and verdicts directly", async () => {
			const connection = {};
			const { pool } = setUp();
			const { Pool } = await import("../src/index.ts");
			const direct = new Pool<object>(
				{ connect: () => connection, isAlive: () => true, validate: () => true, destroy: () => {}, discard: () => {} },
				{ clock: pool.options.clock },
			);
			expect(await direct.acquire()).to.equal(connection);
			direct.release(connection);
			expect(await direct.acquire()).to.equal(connection);
			direct.release(connection);
			await direct.drain();
			expect(direct.state).to.equal("closed");
		});
	});

	describe("with an abort signal", () => {
		it("rejects with the signal's reason at once, and leaves the queue", async () => {
			const { pool } = setUp({ stopsAt: ["connect"] });
			const { signal, abort } = abortable();
			const waiter = follow(pool.acquire({ signal }));
			const reason = new Error("the client has hung up");
			abort(reason);
			expect(pool.stats().pending).to.equal(0);
			await settle();
			expect(waiter.reason).to.equal(reason);
		});

		it("rejects at once when the signal has been aborted before, and opens nothing", async () => {
			const { pool, driver } = setUp();
			const reason = new Error("too late");
			expect(await rejection(pool.acquire({ signal: AbortSignal.abort(reason) }))).to.equal(reason);
			expect(driver.connects).to.have.lengthOf(0);
		});

		it("does not abort the connect, whose connection serves the next waiter", async () => {
			const { pool, driver } = setUp({ max: 1, stopsAt: ["connect"] });
			const { signal, abort } = abortable();
			follow(pool.acquire({ signal }));
			const next = follow(pool.acquire());
			abort();
			expect(at(driver.connects, 0).signal.aborted).to.equal(false);
			const connection = at(driver.connects, 0).open();
			await settle();
			expect(next.value).to.equal(connection);
			expect(driver.connects).to.have.lengthOf(1);
		});

		it("keeps the connection idle when nobody else waits", async () => {
			const { pool, driver } = setUp({ stopsAt: ["connect"] });
			const { signal, abort } = abortable();
			follow(pool.acquire({ signal }));
			abort();
			at(driver.connects, 0).open();
			await settle();
			expect(pool.stats()).to.include({ idle: 1, total: 1 });
		});

		it("lets a waiter in the middle leave, and keeps the order of the others", async () => {
			const { pool } = setUp({ max: 1 });
			const { signal, abort } = abortable();
			const held = await pool.acquire();
			const first = follow(pool.acquire());
			follow(pool.acquire({ signal }));
			const third = follow(pool.acquire());
			abort();
			pool.release(held);
			await settle();
			expect([first.state, third.state]).to.deep.equal(["fulfilled", "pending"]);
			pool.release(held);
			await settle();
			expect(third.value).to.equal(held);
		});

		it("changes nothing once the connection is there, and leaves no listener behind", async () => {
			const { pool } = setUp();
			const { signal, abort } = abortable();
			const listeners = countListeners(signal);
			const connection = await pool.acquire({ signal });
			expect(listeners()).to.equal(0);
			abort();
			expect(pool.stats().used).to.equal(1);
			pool.release(connection);
			expect(pool.stats().idle).to.equal(1);
		});

		it("stops the time-out of the waiter that left", async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 100 });
			await pool.acquire();
			const before = clock.running;
			const { signal, abort } = abortable();
			follow(pool.acquire({ signal }));
			abort();
			expect(clock.running).to.equal(before);
		});
	});

	describe("with maxPending", () => {
		it("rejects who comes when so many wait already, and lets the others wait", async () => {
			const { pool } = setUp({ max: 1, maxPending: 2 });
			const held = await pool.acquire();
			const waiters = [pool.acquire(), pool.acquire()].map(follow);
			const error = await rejection(pool.acquire());
			expect(error).to.be.instanceOf(QueueFullError).and.to.include({ code: "ERR_FORKSAFE_QUEUE_FULL" });
			expect(error).to.have.property("message").that.includes("2 acquires are waiting already").and.includes("max 1: 1 used");
			expect(pool.stats().pending).to.equal(2);
			pool.release(held);
			await settle();
			expect(waiters.map(({ state }) => state)).to.deep.equal(["fulfilled", "pending"]);
		});

		it("does not count those for whom a connection is on its way", async () => {
			const { pool } = setUp({ max: 3, maxPending: 1, stopsAt: ["connect"] });
			const waiters = Array.from({ length: 4 }, () => follow(pool.acquire()));
			await settle();
			expect(waiters.map(({ state }) => state)).to.deep.equal(["pending", "pending", "pending", "pending"]);
			expect(await rejection(pool.acquire())).to.be.instanceOf(QueueFullError);
		});

		it("serves at once who finds a connection idle", async () => {
			const { pool, idle } = await setUpIdle(1, { max: 1, maxPending: 1 });
			expect(await pool.acquire()).to.equal(idle[0]);
		});
	});

	describe("options", () => {
		it("rejects a time-out that is none", async () => {
			const { pool } = setUp();
			for (const timeoutMillis of [-1, Number.NaN, "5" as unknown as number]) {
				const error = await rejection(pool.acquire({ timeoutMillis }));
				expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "timeoutMillis" });
			}
			expect(pool.stats().pending).to.equal(0);
		});
	});

	describe("use", () => {
		it("gives what the work gives, and the connection back", async () => {
			const { pool } = setUp();
			expect(await pool.use((connection) => [connection.id, pool.stats().used])).to.deep.equal([0, 1]);
			expect(pool.stats()).to.include({ used: 0, idle: 1 });
		});

		it("throws what the work throws, and gives the connection back", async () => {
			const { pool } = setUp();
			const error = new Error("syntax error");
			const failing = [
				() => Promise.reject(error),
				() => {
					throw error;
				},
			];
			for (const work of failing) expect(await rejection(pool.use(work))).to.equal(error);
			expect(pool.stats()).to.include({ used: 0, idle: 1 });
		});

		it("passes the acquire's options on, and does not run the work without a connection", async () => {
			const { pool } = setUp();
			const reason = new Error("never mind");
			let hasRun = false;
			const work = (): void => {
				hasRun = true;
			};
			expect(await rejection(pool.use(work, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
			await pool.close();
			expect(await rejection(pool.use(work))).to.be.instanceOf(PoolClosedError);
			expect(hasRun).to.equal(false);
		});
	});

	describe("events", () => {
		it("says which connection was opened, once for each", async () => {
			const { pool } = setUp();
			const opened: unknown[] = [];
			pool.on("connect", (connection) => opened.push(connection));
			const connection = await pool.acquire();
			pool.release(connection);
			await pool.acquire();
			expect(opened).to.deep.equal([connection]);
		});
	});
});

/** One connection is idle, and one is being opened for a waiter that has been served otherwise. */
async function setUpWithConnectForNobody(options: GatedDriverOptions): Promise<SetUp & { idle: Connection }> {
	const built = setUp({ ...options, stopsAt: ["connect"], max: 2 });
	const { pool, driver } = built;
	const first = pool.acquire();
	at(driver.connects, 0).open();
	const held = await first;
	const second = pool.acquire();
	pool.release(held);
	pool.release(await second);
	expect(pool.stats()).to.include({ idle: 1, connecting: 1, pending: 0 });
	return { ...built, idle: held };
}

function abortable(): { signal: AbortSignal; abort: (reason?: unknown) => void } {
	const controller = new AbortController();
	return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
}
