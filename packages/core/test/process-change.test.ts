import { subscribe, unsubscribe } from "node:diagnostics_channel";
import process from "node:process";
import { expect } from "chai";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import {
	afterFork,
	currentGeneration,
	type Driver,
	InheritedConnectionError,
	Pool,
	PoolClosedError,
	type PoolOptions,
	ProcessChangedError,
	reportProcessChange,
} from "../src/index.ts";
import { at } from "./support/at.ts";
import { survivors } from "./support/collection.ts";
import { FakeClock } from "./support/fake-clock.ts";
import type { Connection } from "./support/gated-driver.ts";
import { acquireMany, type SetUp, setUp, setUpIdle } from "./support/set-up.ts";
import { warningsOf } from "./support/warnings.ts";

/** Pools that hold one connection each, in every state that a connection can be in. */
const inState: Record<string, (options?: PoolOptions) => Promise<SetUp & { connection: Connection | undefined }>> = {
	idle: async (options) => {
		const { idle, ...rest } = await setUpIdle(1, options);
		return { ...rest, connection: at(idle, 0) };
	},
	used: async (options) => {
		const built = setUp(options);
		return { ...built, connection: await built.pool.acquire() };
	},
	validating: async (options) => {
		const { idle, ...rest } = await setUpIdle(1, { ...options, stopsAt: ["validate"] });
		follow(rest.pool.acquire());
		await settle();
		return { ...rest, connection: at(idle, 0) };
	},
	connecting: async (options) => {
		const built = setUp({ ...options, stopsAt: ["connect"] });
		follow(built.pool.acquire());
		return { ...built, connection: undefined };
	},
	destroying: async (options) => {
		const built = setUp({ ...options, stopsAt: ["destroy"] });
		const connection = await built.pool.acquire();
		built.pool.release(connection, { destroy: true });
		return { ...built, connection };
	},
};

describe("process change", () => {
	for (const [state, build] of Object.entries(inState)) {
		describe(`with a connection that is ${state}`, () => {
			it("forgets it at once, exactly once, and ends nothing", async () => {
				const { pool, driver, connection } = await build();
				expect(pool.stats()).to.include({ [state]: 1, total: 1 });
				const ended = driver.destroys.length;

				const change = reportProcessChange();
				expect(driver.discards).to.deep.equal(connection === undefined ? [] : [{ connection, change }]);
				expect(pool.stats()).to.include({ [state]: 0, total: 0, pending: 0, generation: change.generation });

				await settle();
				reportProcessChange();
				await pool.close();
				expect(driver.discards).to.have.lengthOf(connection === undefined ? 0 : 1);
				expect(driver.destroys).to.have.lengthOf(ended);
			});

			it("leaves no timer running, and opens nothing by itself", async () => {
				const { driver, clock } = await build({ min: 1 });
				const opened = driver.connects.length;
				reportProcessChange();
				expect(clock.running).to.equal(0);
				await clock.advance(1_000_000);
				expect(driver.connects).to.have.lengthOf(opened);
			});

			it("opens a new one at the next acquire, with the room of all others", async () => {
				const { pool, driver } = await build({ max: 1 });
				reportProcessChange();
				driver.stopsAt.clear();
				const opened = driver.connects.length;
				const fresh = await pool.acquire();
				expect(fresh.id).to.equal(opened);
				expect(pool.stats()).to.include({ used: 1, total: 1 });
			});
		});
	}

	it("forgets many at once, and passes the same change to all", async () => {
		const { pool, driver, idle } = await setUpIdle(4);
		await acquireMany(pool, 2);
		const change = reportProcessChange();
		expect(driver.discarded).to.have.members(idle).and.to.have.lengthOf(4);
		for (const discard of driver.discards) expect(discard.change).to.equal(change);
	});

	it("tells each forgotten connection in an event", async () => {
		const { pool, idle } = await setUpIdle(2);
		const heard: unknown[] = [];
		pool.on("discard", (connection, change) => heard.push([connection, change]));
		const change = reportProcessChange();
		expect(heard).to.have.deep.members(idle.map((connection) => [connection, change]));
	});

	it("forgets the others also when the driver throws at one, which becomes a warning", async () => {
		const { driver, idle } = await setUpIdle(3);
		driver.onDiscard = () => {
			throw new Error("already closed");
		};
		const warnings = warningsOf(reportProcessChange);
		expect(driver.discarded).to.have.members(idle);
		expect(warnings.map(({ message }) => message)).to.deep.equal(["already closed", "already closed", "already closed"]);
	});

	it("forgets the others also when a listener of the pool throws at one", async () => {
		const { pool, driver } = await setUpIdle(2, { max: 2 });
		const held = await acquireMany(pool, 2);
		const waiter = follow(pool.acquire());
		pool.on("discard", () => {
			throw new Error("listener");
		});
		warningsOf(reportProcessChange);
		await settle();
		expect(driver.discarded).to.have.members(held);
		expect(waiter.reason).to.be.instanceOf(ProcessChangedError);
	});

	it("forgets what a tick was about to end, when the driver's first end makes the process another one", async () => {
		const { driver, clock, idle } = await setUpIdle(3);
		const { destroy } = driver;
		driver.destroy = (connection) => {
			const ended = destroy.call(driver, connection);
			if (driver.destroys.length === 1) reportProcessChange();
			return ended;
		};
		await clock.advance(100_000);
		expect(driver.destroys).to.have.lengthOf(1);
		expect(driver.discarded).to.have.members(idle);
	});

	it("forgets a connection that the driver is still ending, though it does not count any more", async () => {
		const { driver, clock, pool } = setUp({ destroyTimeoutMillis: 100, stopsAt: ["destroy"] });
		const connection = await pool.acquire();
		pool.release(connection, { destroy: true });
		await clock.advance(200);
		expect(pool.stats().total).to.equal(0);
		const change = reportProcessChange();
		expect(driver.discards).to.deep.equal([{ connection, change }]);
		at(driver.destroys, 0).succeed();
		await settle();
		reportProcessChange();
		expect(driver.discards).to.have.lengthOf(1);
	});

	describe("for those who wait", () => {
		it("rejects all with ProcessChangedError, in the same turn", async () => {
			const { pool } = setUp({ max: 1 });
			await pool.acquire();
			const waiters = [pool.acquire(), pool.acquire({ timeoutMillis: 0 })].map(follow);
			const change = reportProcessChange();
			expect(pool.stats().pending).to.equal(0);
			await settle();
			for (const { reason } of waiters) {
				expect(reason).to.be.instanceOf(ProcessChangedError);
				expect(reason).to.include({ change, code: "ERR_FORKSAFE_PROCESS_CHANGED" });
			}
		});

		it("rejects them once: an abort or a time-out that comes later changes nothing", async () => {
			const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 100 });
			await pool.acquire();
			const controller = new AbortController();
			const waiter = follow(pool.acquire({ signal: controller.signal }));
			reportProcessChange();
			controller.abort();
			await clock.advance(1_000);
			expect(waiter.reason).to.be.instanceOf(ProcessChangedError);
			expect(pool.stats().pending).to.equal(0);
		});

		it("connects for none of them, also when somebody acquires while connections are being forgotten", async () => {
			const { pool, driver } = setUp({ max: 2 });
			const held = await acquireMany(pool, 2);
			const waiters = [pool.acquire(), pool.acquire(), pool.acquire()].map(follow);
			const acquired: Promise<Connection>[] = [];
			pool.once("discard", () => acquired.push(pool.acquire()));
			reportProcessChange();
			await settle();
			for (const { reason } of waiters) expect(reason).to.be.instanceOf(ProcessChangedError);
			expect(acquired).to.have.lengthOf(1);
			expect(held).not.to.include(await acquired[0]);
			expect(driver.connects).to.have.lengthOf(3);
			expect(pool.stats()).to.include({ used: 1, total: 1, pending: 0 });
		});

		it("serves an acquire that is made while a connect in progress has still to be forgotten", async () => {
			const { pool, driver } = setUp({ max: 3, stopsAt: ["connect"] });
			const first = pool.acquire();
			at(driver.connects, 0).open();
			await first;
			follow(pool.acquire());
			const acquired: Promise<Connection>[] = [];
			pool.once("discard", () => acquired.push(pool.acquire()));
			reportProcessChange();
			await settle();
			expect(driver.connects).to.have.lengthOf(3);
			const fresh = at(driver.connects, 2).open();
			expect(await acquired[0]).to.equal(fresh);
		});
	});

	describe("for what still arrives", () => {
		it("aborts a connect in progress with InheritedConnectionError", async () => {
			const { driver } = await build("connecting");
			const change = reportProcessChange();
			const { signal } = at(driver.connects, 0);
			expect(signal.reason).to.be.instanceOf(InheritedConnectionError).and.to.include({ change });
		});

		it("forgets a connection that was being opened, and does not end it", async () => {
			const { pool, driver } = await build("connecting");
			const change = reportProcessChange();
			const late = at(driver.connects, 0).open();
			await settle();
			expect(driver.discards).to.deep.equal([{ connection: late, change }]);
			expect(driver.destroys).to.have.lengthOf(0);
			expect(pool.stats().total).to.equal(0);
			pool.release(late);
			pool.invalidate(late);
			expect(pool.stats().total).to.equal(0);
		});

		it("forgets a connection whose connect was given up before", async () => {
			const { pool, driver, clock } = setUp({ connectTimeoutMillis: 100, destroyTimeoutMillis: 100, stopsAt: ["connect"] });
			for (const passing of [100, 300]) {
				follow(pool.acquire());
				await clock.advance(passing);
				reportProcessChange();
				const late = at(driver.connects, -1).open();
				await settle();
				expect(driver.discarded.at(-1)).to.equal(late);
				expect(driver.destroys).to.have.lengthOf(0);
			}
		});

		it("ignores that a connect has failed", async () => {
			const { pool, driver } = await build("connecting");
			pool.on("connectError", () => expect.fail("this is the other process's business"));
			reportProcessChange();
			const fresh = follow(pool.acquire());
			at(driver.connects, 0).fail(new Error("aborted"));
			await settle();
			expect(fresh.state).to.equal("pending");
			expect(pool.stats()).to.include({ connecting: 1, total: 1, pending: 1 });
		});

		it("ignores the verdict of a validation", async () => {
			for (const verdict of [true, false]) {
				const { pool, driver } = await build("validating");
				reportProcessChange();
				at(driver.validations, 0).succeed(verdict);
				await settle();
				expect(driver.destroys).to.have.lengthOf(0);
				expect(pool.stats()).to.include({ total: 0, idle: 0 });
			}
		});

		it("ignores that a connection has ended", async () => {
			const { pool, driver } = await build("destroying");
			pool.on("destroy", () => expect.fail("this is the other process's business"));
			reportProcessChange();
			at(driver.destroys, 0).succeed();
			await settle();
			expect(pool.stats().total).to.equal(0);
		});

		it("ignores a release, in any way and at any time", async () => {
			const { pool, driver } = setUp({ max: 2, maxUses: 5 });
			const inherited = await acquireMany(pool, 2);
			reportProcessChange();
			const [fresh] = await acquireMany(pool, 2);
			const waiter = follow(pool.acquire());
			const before = pool.stats();
			for (const connection of inherited) {
				pool.release(connection);
				pool.release(connection, { destroy: true });
				pool.release(connection);
				pool.invalidate(connection);
			}
			await settle();
			expect(pool.stats()).to.deep.equal(before);
			expect(before).to.include({ used: 2, total: 2, pending: 1 });
			expect(waiter.state).to.equal("pending");
			expect(driver.destroys).to.have.lengthOf(0);
			expect(driver.discards).to.have.lengthOf(2);
			pool.release(fresh as Connection);
			await settle();
			expect(waiter.value).to.equal(fresh);
		});
	});

	describe("for a pool that was drained", () => {
		it("closes one that was draining, and ends nothing", async () => {
			const { pool, driver } = setUp();
			await pool.acquire();
			const drained = follow(pool.drain());
			await settle();
			expect(drained.state).to.equal("pending");
			reportProcessChange();
			expect(pool.state).to.equal("closed");
			await settle();
			expect(drained.state).to.equal("fulfilled");
			expect(driver.destroys).to.have.lengthOf(0);
			expect(await rejection(pool.acquire())).to.be.instanceOf(PoolClosedError);
		});

		it("keeps a closed one closed", async () => {
			const { pool, driver } = await setUpIdle(1);
			await pool.drain();
			reportProcessChange();
			expect(pool.stats()).to.include({ state: "closed", total: 0 });
			expect(await rejection(pool.acquire())).to.be.instanceOf(PoolClosedError);
			expect(driver.discards).to.have.lengthOf(0);
		});

		it("does not announce it for a closed one", async () => {
			const { pool } = await setUpIdle(1);
			pool.on("processChange", () => expect.fail("it has ended"));
			await pool.drain();
			reportProcessChange();
			pool.stats();
		});

		it("lets the new process drain the pool on its own", async () => {
			const { pool, driver, idle } = await setUpIdle(2);
			reportProcessChange();
			const fresh = await pool.acquire();
			pool.release(fresh);
			await pool.drain();
			expect(driver.destroyed).to.deep.equal([fresh]);
			expect(driver.discarded).to.have.members(idle);
		});
	});

	describe("announcements", () => {
		it("come once, on the channel, to the listener, in the log and as an event, with both pids", async () => {
			const heard: [string, unknown][] = [];
			const { pool } = await setUpIdle(1, {
				name: "orders",
				onProcessChange: (change) => heard.push(["option", change]),
				log: (line) => heard.push(["log", line]),
			});
			pool.on("processChange", (change) => heard.push(["event", change]));
			const listener = (payload: unknown): void => {
				if ((payload as { pool: unknown }).pool === pool) heard.push(["channel", (payload as { change: unknown }).change]);
			};
			subscribe("forksafe:pool:process-change", listener);
			const change = reportProcessChange();
			pool.stats();
			await pool.acquire();
			unsubscribe("forksafe:pool:process-change", listener);

			expect(heard.map(([where]) => where)).to.have.members(["option", "log", "event", "channel"]);
			for (const [where, what] of heard) {
				if (where === "log") {
					expect(what).to.include("orders").and.include("reported").and.include(`pid ${change.previousPid} -> ${change.pid}`);
				} else {
					expect(what).to.equal(change);
				}
			}
		});

		it("come when all pools have discarded", async () => {
			const pools = [await setUpIdle(1), await setUpIdle(2)];
			const seen: number[] = [];
			for (const { pool } of pools) {
				pool.on("processChange", () => seen.push(...pools.map(({ driver }) => driver.discards.length)));
			}
			reportProcessChange();
			expect(seen).to.deep.equal([1, 2, 1, 2]);
		});

		it("reach the others also when one of them throws, which becomes a warning", async () => {
			const heard: string[] = [];
			const fail = (): never => {
				throw new Error("no");
			};
			const first = await setUpIdle(1, { log: fail, onProcessChange: fail });
			const second = await setUpIdle(1, { onProcessChange: () => heard.push("second") });
			first.pool.on("processChange", () => heard.push("first"));
			const warnings = warningsOf(reportProcessChange);
			expect(heard).to.deep.equal(["first", "second"]);
			expect(warnings).not.to.have.lengthOf(0);
			expect(second.driver.discards).to.have.lengthOf(1);
			await first.pool.close(); // else it goes on throwing in the tests that follow
		});

		it("let a listener acquire at once", async () => {
			const acquired: Promise<Connection>[] = [];
			const { pool, idle } = await setUpIdle(1, { onProcessChange: () => acquired.push(pool.acquire()) });
			reportProcessChange();
			expect(idle).not.to.include(await acquired[0]);
			expect(pool.stats()).to.include({ used: 1, total: 1 });
		});
	});

	describe("and garbage", () => {
		it("keeps no connection of the old generation alive", async () => {
			const references: WeakRef<object>[] = [];
			const clock = new FakeClock();
			const driver: Driver<object> = {
				connect: () => {
					const connection = {};
					references.push(new WeakRef(connection));
					return connection;
				},
				isAlive: () => true,
				validate: () => new Promise<boolean>(() => {}),
				destroy: () => new Promise<void>(() => {}),
				discard: () => {},
			};
			const pool = new Pool(driver, { clock });
			await occupy(pool, clock);
			expect(references).to.have.lengthOf(4);
			expect(pool.stats()).to.include({ idle: 1, used: 1, validating: 1, destroying: 1 });
			reportProcessChange();
			expect(await survivors(references)).to.equal(0);
			expect(pool.stats().total).to.equal(0);
		});

		it("keeps no waiter of the old generation alive", async () => {
			const { pool } = setUp({ max: 1 });
			await pool.acquire();
			const references = [(() => new WeakRef(pool.acquire()))(), (() => new WeakRef(pool.acquire()))()];
			for (const reference of references) reference.deref()?.catch(() => {});
			reportProcessChange();
			expect(await survivors(references)).to.equal(0);
		});
	});

	describe("that nobody has announced", () => {
		const fake = new FakeProcess();
		let pid = 991_000;

		before(function () {
			if (process.platform === "win32") this.skip();
		});

		afterEach(() => fake.restore());

		/** From here on this process is a child of itself. */
		function fork(): void {
			fake.fork(pid + 1, pid);
			pid++;
		}

		const touches: Record<string, (built: SetUp & { held: Connection[]; idle: Connection }) => unknown> = {
			acquire: ({ pool }) => follow(pool.acquire()),
			stats: ({ pool }) => pool.stats(),
			"release with destroy": ({ pool, held }) => pool.release(at(held, 0), { destroy: true }),
			"release of a dead connection": ({ pool, held }) => {
				at(held, 0).isAlive = false;
				pool.release(at(held, 0));
			},
			"release of a connection with enough uses": ({ pool, held }) => {
				pool.release(at(held, 0));
				pool.stats();
			},
			"release of an invalidated connection": ({ pool, held }) => {
				pool.invalidate(at(held, 0));
				pool.release(at(held, 0));
			},
			"invalidate of an idle connection": ({ pool, idle }) => pool.invalidate(idle),
			drain: ({ pool }) => follow(pool.drain()),
			close: ({ pool }) => follow(pool.close()),
			"a new pool": () => setUp(),
			afterFork: () => afterFork(),
			currentGeneration: () => currentGeneration(),
			"the maintenance tick": ({ clock }) => clock.jump(1_000),
			"all timers at once": ({ clock }) => clock.jump(1_000_000),
		};
		for (const [touch, act] of Object.entries(touches)) {
			it(`is noticed at the first touch, which ends nothing: ${touch}`, async () => {
				const built = setUp({ maxUses: 2 });
				const connections = await acquireMany(built.pool, 4);
				for (const connection of connections) built.pool.release(connection);
				const held = await acquireMany(built.pool, 3);
				const idle = connections.find((connection) => !held.includes(connection)) as Connection;

				fork();
				act({ ...built, held, idle });
				expect(built.driver.destroys).to.have.lengthOf(0);
				expect(built.driver.discarded).to.have.members(connections).and.to.have.lengthOf(4);
				await settle();
				expect(built.driver.destroys).to.have.lengthOf(0);
				expect(at(built.driver.discards, 0).change).to.include({ cause: "fork", pid });
			});
		}

		it("ends nothing and serves nobody when a connection comes back to a waiter of the other process", async () => {
			const { pool, driver } = setUp({ max: 1 });
			const held = await pool.acquire();
			const waiter = follow(pool.acquire());
			fork();
			pool.release(held);
			await settle();
			expect(waiter.reason).to.be.instanceOf(ProcessChangedError);
			expect(driver.discarded).to.deep.equal([held]);
		});

		it("keeps a plain release harmless, and never hands the connection out", async () => {
			const { pool, driver } = setUp();
			const held = await pool.acquire();
			fork();
			pool.release(held);
			expect(await pool.acquire()).not.to.equal(held);
			expect(driver.discarded).to.deep.equal([held]);
			expect(driver.destroys).to.have.lengthOf(0);
		});

		it("connects for no waiter of the other process when a timer is due", async () => {
			const { pool, driver, clock } = setUp({
				max: 1,
				connectTimeoutMillis: 100,
				destroyTimeoutMillis: 50,
				maintenanceIntervalMillis: 10_000,
				stopsAt: ["connect"],
			});
			follow(pool.acquire());
			await clock.advance(100);
			const waiter = follow(pool.acquire());
			expect(pool.stats()).to.include({ destroying: 1, pending: 1 });
			fork();
			await clock.advance(50);
			expect(driver.connects).to.have.lengthOf(1);
			expect(waiter.reason).to.be.instanceOf(ProcessChangedError);
		});

		for (const [arrival, stop, open] of [
			["a connection", "connect", ({ driver }: SetUp) => at(driver.connects, -1).open()],
			["the failure of a connect", "connect", ({ driver }: SetUp) => at(driver.connects, -1).fail(new Error("refused"))],
			["a good verdict", "validate", ({ driver }: SetUp) => at(driver.validations, 0).succeed(true)],
			["a bad verdict", "validate", ({ driver }: SetUp) => at(driver.validations, 0).succeed(false)],
			["the time-out of a connect or a validation", "connect", ({ clock }: SetUp) => clock.jump(20_000)],
		] as const) {
			it(`is noticed when ${arrival} arrives first: the waiter of the other process is rejected`, async () => {
				const built = await setUpIdle(stop === "validate" ? 1 : 0, { max: 1, stopsAt: [stop] });
				const waiters = [built.pool.acquire(), built.pool.acquire()].map(follow);
				await settle();
				fork();
				open(built);
				await settle();
				for (const { reason } of waiters) expect(reason).to.be.instanceOf(ProcessChangedError);
				expect(built.driver.destroys).to.have.lengthOf(0);
				expect(built.driver.connects).to.have.lengthOf(1);
				expect(built.pool.stats()).to.include({ total: 0, pending: 0 });
			});
		}

		it("is noticed again in a child of the child", async () => {
			const { pool, driver } = setUp();
			for (let depth = 0; depth < 3; depth++) {
				await pool.acquire();
				fork();
				pool.stats();
				expect(driver.discards).to.have.lengthOf(depth + 1);
			}
		});

		it("is none when only the parent has died: the connections stay", async () => {
			const { pool, idle, driver } = await setUpIdle(1);
			fake.setParent(1);
			expect(await pool.acquire()).to.equal(idle[0]);
			expect(driver.discards).to.have.lengthOf(0);
		});

		describe("with processWatch: once", () => {
			it("is noticed the first time only", async () => {
				const { pool } = setUp({ processWatch: "once" });
				const inherited = await pool.acquire();
				pool.release(inherited);
				fork();
				const ours = await pool.acquire();
				expect(ours).not.to.equal(inherited);
				pool.release(ours);
				fork();
				expect(await pool.acquire()).to.equal(ours);
			});

			it("is obeyed every time that somebody else says so", async () => {
				const { pool } = setUp({ processWatch: "once" });
				for (let round = 1; round < 4; round++) {
					pool.release(await pool.acquire());
					reportProcessChange();
					expect(pool.stats().total).to.equal(0);
				}
			});

			it("is not looked for again after a change that somebody else has announced", async () => {
				const { pool } = setUp({ processWatch: "once" });
				reportProcessChange();
				const ours = await pool.acquire();
				pool.release(ours);
				fork();
				expect(await pool.acquire()).to.equal(ours);
			});
		});

		describe("with processWatch: off", () => {
			it("is never noticed by the pool itself", async () => {
				const { pool, idle, clock } = await setUpIdle(1, { processWatch: "off", idleTimeoutMillis: 0 });
				fork();
				await clock.advance(10_000);
				expect(await pool.acquire()).to.equal(idle[0]);
				expect(fake.asked).to.equal(0);
			});

			it("is obeyed when somebody else says so", async () => {
				for (const say of [() => afterFork(), () => reportProcessChange(), () => currentGeneration(), () => setUp()]) {
					const { pool, idle } = await setUpIdle(1, { processWatch: "off" });
					fork();
					say();
					expect(await pool.acquire()).not.to.equal(idle[0]);
				}
			});
		});
	});
});

function build(state: string): ReturnType<NonNullable<(typeof inState)[string]>> {
	const make = inState[state];
	if (make === undefined) throw new Error(`there is no state ${state}`);
	return make();
}

/** One connection in each state but `connecting`; none of them is held by the caller. */
async function occupy(pool: Pool<object>, clock: FakeClock): Promise<void> {
	const acquires = [pool.acquire(), pool.acquire(), pool.acquire(), pool.acquire()];
	await clock.advance(100);
	const connections = await Promise.all(acquires);
	const [first, second, third] = connections;
	if (first === undefined || second === undefined || third === undefined) throw new Error("unreachable");
	pool.release(first, { destroy: true });
	pool.release(second);
	pool.release(third);
	clock.setWallBy(2_000);
	pool.acquire().catch(() => {});
	await settle();
}
