import { PoolClosedError } from "@forksafe/core";
import { expect } from "chai";
import { Pool as Tarn, TimeoutError } from "tarn";
import { follow, type Outcome, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { TarnPool, type TarnPoolOptions } from "../src/index.ts";
import { FakeTimers } from "./support/fake-timers.ts";

/** One sequence over tarn and over ours, which have to leave the same protocol. */
type Sequence = (run: Run) => Promise<void>;

const EVENTS = [
	"acquireRequest",
	"acquireSuccess",
	"acquireFail",
	"createRequest",
	"createSuccess",
	"createFail",
	"destroyRequest",
	"destroySuccess",
	"destroyFail",
	"release",
	"startReaping",
	"stopReaping",
	"poolDestroyRequest",
	"poolDestroySuccess",
] as const;

interface Case {
	readonly options?: Partial<TarnPoolOptions<Thing>> | ((factory: Factory) => Partial<TarnPoolOptions<Thing>>);
	/** Several things go on at a time: each has its order, but not one against another. */
	readonly isConcurrent?: boolean;
	readonly sequence: Sequence;
}

const sequences: Record<string, Case> = {
	"an acquire and a release": {
		sequence: async ({ pool, note }) => {
			const first = await pool.acquire().promise;
			note("acquired", first);
			note("released", pool.release(first));
			note("acquired", await pool.acquire().promise);
			note("released", pool.release(first));
		},
	},
	"more acquires than max": {
		sequence: async ({ pool, note }) => {
			const held = [await pool.acquire().promise, await pool.acquire().promise];
			const waiting = [pool.acquire(), pool.acquire()];
			note("two wait");
			for (const thing of held) {
				// Between these two, tarn validates, also where there is nothing to validate with.
				const isReleased = pool.release(thing);
				note(`released: ${isReleased}, served`, await waiting.shift()?.promise);
			}
		},
	},
	"many acquires at a time": {
		options: { max: 1 },
		isConcurrent: true,
		sequence: async ({ pool, note }) => {
			const acquires = [1, 2, 3, 4].map(() => pool.acquire());
			note("asked");
			const served = acquires.map(async ({ promise }) => pool.release(await promise));
			note("released", (await Promise.all(served)).join());
		},
	},
	"releases that make no sense": {
		sequence: async ({ pool, note }) => {
			const thing = await pool.acquire().promise;
			note("stranger", pool.release(new Thing(99)));
			note("first", pool.release(thing));
			note("second", pool.release(thing));
			note("acquired", await pool.acquire().promise);
		},
	},
	"the thing released last is handed out first": {
		sequence: async ({ pool, note }) => {
			const [first, second] = [await pool.acquire().promise, await pool.acquire().promise];
			pool.release(first);
			pool.release(second);
			note("acquired", await pool.acquire().promise);
			note("acquired", await pool.acquire().promise);
		},
	},
	"an acquire that is aborted while it waits": {
		sequence: async ({ pool, note }) => {
			const held = [await pool.acquire().promise, await pool.acquire().promise];
			const [waiting, next] = [pool.acquire(), pool.acquire()];
			waiting.abort();
			note("aborted", await rejection(waiting.promise));
			pool.release(held[0] as Thing);
			note("the next", await next.promise);
		},
	},
	"an abort that comes too late": {
		sequence: async ({ pool, note }) => {
			const acquire = pool.acquire();
			const thing = await acquire.promise;
			acquire.abort();
			await settle();
			note("still held", pool.numUsed());
			note("released", pool.release(thing));
		},
	},
	"an acquire whose time is up": {
		options: { acquireTimeoutMillis: 20 },
		sequence: async ({ pool, note }) => {
			const held = [await pool.acquire().promise, await pool.acquire().promise];
			const error = (await rejection(pool.acquire().promise)) as Error;
			note("late", error.constructor.name);
			note("released", pool.release(held[0] as Thing));
			note("acquired", await pool.acquire().promise);
		},
	},
	"a create that fails, with propagateCreateError": {
		options: { propagateCreateError: true },
		sequence: async ({ pool, factory, note }) => {
			factory.failures = 1;
			note("failed", await rejection(pool.acquire().promise));
			note("acquired", await pool.acquire().promise);
		},
	},
	"a create that fails, without propagateCreateError": {
		options: { createRetryIntervalMillis: 5 },
		sequence: async ({ pool, factory, note }) => {
			factory.failures = 2;
			note("acquired", await pool.acquire().promise);
		},
	},
	"a create that calls back": {
		options: { create: (callback) => process.nextTick(callback, null, new Thing(7)) },
		sequence: async ({ pool, note }) => note("acquired", await pool.acquire().promise),
	},
	"a create that calls back with an error": {
		options: { create: (callback) => process.nextTick(callback, new Error("no")), propagateCreateError: true },
		sequence: async ({ pool, note }) => note("failed", await rejection(pool.acquire().promise)),
	},
	"a create that returns what it creates": {
		options: { create: () => new Thing(7) },
		sequence: async ({ pool, note }) => note("acquired", await pool.acquire().promise),
	},
	"a create that throws": {
		options: {
			create: () => {
				throw new Error("no");
			},
			propagateCreateError: true,
		},
		sequence: async ({ pool, note }) => note("failed", await rejection(pool.acquire().promise)),
	},
	"a thing that validate accepts": {
		options: { validate: async () => true },
		sequence: async ({ pool, note }) => {
			pool.release(await pool.acquire().promise);
			note("again", await pool.acquire().promise);
		},
	},
	"a thing that validate refuses": {
		options: (factory) => ({ validate: (thing) => !factory.broken.has(thing) }),
		isConcurrent: true,
		sequence: replaceBroken,
	},
	"a thing that validate throws at": {
		options: (factory) => ({
			validate(thing) {
				if (factory.broken.has(thing)) throw new Error("no");
				return true;
			},
		}),
		isConcurrent: true,
		sequence: replaceBroken,
	},
	"a thing that validate refuses when somebody waits for it": {
		options: (factory) => ({ max: 1, validate: (thing) => !factory.broken.has(thing) }),
		isConcurrent: true,
		sequence: async ({ pool, factory, note }) => {
			const thing = await pool.acquire().promise;
			const waiting = pool.acquire();
			factory.broken.add(thing);
			pool.release(thing);
			note("another", await waiting.promise);
			await untilTrue(() => factory.destroyed.length === 1, { what: "the first is destroyed" });
			await settle();
		},
	},
	"what acquire returns": {
		isConcurrent: true,
		sequence: async ({ pool, note }) => {
			const acquire = pool.acquire() as unknown as Record<string, unknown>;
			note("rejected", acquire["isRejected"]);
			note("time", acquire["timeoutMillis"]);
			note("cause", acquire["possibleTimeoutCause"]);
			note("acquired", await acquire["promise"]);
			const other = pool.acquire();
			other.reject(new RangeError("not wanted"));
			const reason = await rejection(other.promise);
			await settle();
			note("rejected", reason);
			note("rejected", other.isRejected);
		},
	},
	"things that are idle too long": {
		options: { min: 1, idleTimeoutMillis: 1, reapIntervalMillis: 5 },
		sequence: async ({ pool, factory, note }) => {
			const held = [await pool.acquire().promise, await pool.acquire().promise];
			for (const thing of held) pool.release(thing);
			await untilTrue(() => factory.destroyed.length === 1, { what: "one is destroyed" });
			await settle();
			note("one is kept");
		},
	},
	"the end of a pool that nobody has used": {
		sequence: async ({ pool, note }) => {
			await pool.destroy();
			note("over");
		},
	},
	"its listeners when it has ended": {
		sequence: async ({ pool, note }) => {
			await pool.destroy();
			pool.release(new Thing(99));
			note("nobody was told of the release");
			await pool.destroy();
			note("nor of the second end");
		},
	},
	"the end of a pool with idle things": {
		isConcurrent: true,
		sequence: async ({ pool, note }) => {
			const held = [await pool.acquire().promise, await pool.acquire().promise];
			for (const thing of held) pool.release(thing);
			await settle();
			await pool.destroy();
			note("over");
		},
	},
	"the end of a pool with a thing in use": {
		sequence: async ({ pool, note }) => {
			const held = await pool.acquire().promise;
			const destroyed = follow(pool.destroy());
			await settle();
			note(`destroy is ${destroyed.state}`);
			pool.release(held);
			await untilTrue(() => destroyed.state === "fulfilled", { what: "it is over" });
			note("over");
		},
	},
	"a thing whose end fails": {
		sequence: async ({ pool, factory, note }) => {
			pool.release(await pool.acquire().promise);
			factory.destroyError = new Error("no");
			await pool.destroy();
			note("over");
		},
	},
	"listeners that throw or were removed": {
		sequence: async ({ pool, note }) => {
			const heard: unknown[] = [];
			const listener = (): void => void heard.push("never");
			pool.on("acquireSuccess", () => {
				throw new Error("listener");
			});
			pool.on("acquireSuccess", listener);
			pool.removeListener("acquireSuccess", listener);
			note("acquired", await pool.acquire().promise);
			pool.removeAllListeners("release");
			note("heard", heard.length);
		},
	},
};

async function replaceBroken({ pool, factory, note }: Run): Promise<void> {
	const thing = await pool.acquire().promise;
	factory.broken.add(thing);
	pool.release(thing);
	note("another", await pool.acquire().promise);
	await untilTrue(() => factory.destroyed.length === 1, { what: "the first is destroyed" });
	await settle();
}

describe("TarnPool", () => {
	for (const [title, { options, isConcurrent = false, sequence }] of Object.entries(sequences)) {
		it(`does what tarn does with ${title}`, async () => {
			const expected = await protocol((given) => new Tarn(given as never), sequence, options);
			const actual = await protocol((given) => new TarnPool(given), sequence, options);
			expect(expected.length).to.be.greaterThan(1);
			if (isConcurrent) expect(actual).to.have.deep.members(expected);
			else expect(actual).to.deep.equal(expected);
		});
	}
});

describe("TarnPool differs from tarn on purpose", () => {
	const create = async (): Promise<Thing> => new Thing(1);

	it("rejects an acquire after destroy at once, where tarn lets it wait until its time is up", async () => {
		const ours = new TarnPool<Thing>({ create, destroy() {}, discard() {}, min: 0, max: 1 });
		const tarns = new Tarn<Thing>({ create, destroy() {}, min: 0, max: 1, acquireTimeoutMillis: 50 });
		const outcomes: Outcome<Thing>[] = [];
		for (const pool of [ours, tarns]) {
			await pool.destroy();
			outcomes.push(follow(pool.acquire().promise));
		}
		await settle();
		expect(outcomes[0]?.reason).to.be.instanceOf(PoolClosedError);
		expect(outcomes[1]?.state).to.equal("pending");
		await untilTrue(() => outcomes[1]?.state === "rejected", { what: "tarn's time is up" });
	});

	it("rejects who waits when destroy begins, where tarn lets them wait for what is in use", async () => {
		const ours = new TarnPool<Thing>({ create, destroy() {}, discard() {}, min: 0, max: 1 });
		const held = await ours.acquire().promise;
		const waiting = follow(ours.acquire().promise);
		const destroyed = ours.destroy();
		await settle();
		expect(waiting.reason).to.be.instanceOf(PoolClosedError);
		ours.release(held);
		await destroyed;
	});

	it("does not validate a thing that it has just created, where tarn does", async () => {
		const asked: string[] = [];
		const options = (name: string): TarnPoolOptions<Thing> => ({
			create,
			destroy() {},
			validate: () => asked.push(name) > 0,
			min: 0,
			max: 1,
		});
		await new TarnPool(options("ours")).acquire().promise;
		const tarns = new Tarn<Thing>(options("tarn") as never);
		tarns.release(await tarns.acquire().promise);
		await tarns.destroy(); // or its timer would keep this process alive
		expect(asked).to.deep.equal(["tarn"]);
	});

	it("keeps to max when a create ends after its time-out, and ends what it brings", async () => {
		const created = Promise.withResolvers<Thing>();
		const destroyed: Thing[] = [];
		let creates = 0;
		const ours = new TarnPool<Thing>({
			create: () => (++creates === 1 ? created.promise : new Thing(2)),
			destroy: (thing) => void destroyed.push(thing),
			propagateCreateError: true,
			createTimeoutMillis: 10,
			createRetryIntervalMillis: 1,
			min: 0,
			max: 1,
		});
		expect(await rejection(ours.acquire().promise)).to.be.instanceOf(TimeoutError);
		const next = follow(ours.acquire().promise);
		await settle();
		expect([creates, ours.numPendingCreates()]).to.deep.equal([1, 0]);
		const late = new Thing(1);
		created.resolve(late);
		await untilTrue(() => next.state === "fulfilled", { what: "the next one is served" });
		expect(destroyed).to.deep.equal([late]);
		expect(next.value).to.deep.equal(new Thing(2));
	});

	it("ends a validation that hangs after 5 s, and serves who waited for it with another thing", async () => {
		const timers = new FakeTimers();
		timers.install();
		try {
			const destroyed: Thing[] = [];
			let created = 0;
			const ours = new TarnPool<Thing>({
				create: () => new Thing(++created),
				destroy: (thing) => void destroyed.push(thing),
				validate: () => new Promise<boolean>(() => {}),
				min: 0,
				max: 1,
			});
			const first = follow(ours.acquire().promise);
			await timers.pass(0);
			ours.release(first.value as Thing);
			const second = follow(ours.acquire().promise);
			await timers.pass(4_999);
			expect(second.state).to.equal("pending");
			expect(ours.numPendingValidations()).to.equal(1);
			expect(ours.release(first.value as Thing), "a second release meanwhile").to.equal(false);
			await timers.pass(1);
			expect(destroyed).to.deep.equal([first.value]);
			expect(second.value).to.deep.equal(new Thing(2));
		} finally {
			timers.uninstall();
		}
	});

	it("ends what is idle as soon as destroy begins, where tarn waits for what is in use", async () => {
		const destroyed: Thing[] = [];
		let created = 0;
		const ours = new TarnPool<Thing>({
			create: () => new Thing(++created),
			destroy: (thing) => void destroyed.push(thing),
			min: 0,
			max: 2,
		});
		const [idle, held] = [await ours.acquire().promise, await ours.acquire().promise];
		ours.release(idle);
		const over = ours.destroy();
		await settle();
		expect(destroyed).to.deep.equal([idle]);
		ours.release(held);
		await over;
		expect(destroyed).to.deep.equal([idle, held]);
	});

	it("ends by a deadline of 30 s with a thing that never comes back, where tarn waits for ever", async () => {
		const timers = new FakeTimers();
		timers.install();
		try {
			const destroyed: Thing[] = [];
			const ours = new TarnPool<Thing>({ create, destroy: (thing) => void destroyed.push(thing), min: 0, max: 1 });
			const leaked = await ours.acquire().promise;
			const destroy = ours.destroy();
			await timers.pass(29_999);
			expect(destroyed).to.deep.equal([]);
			await timers.pass(1);
			await destroy;
			expect(destroyed).to.deep.equal([leaked]);
		} finally {
			timers.uninstall();
		}
	});
});

/** What a pool holds. */
class Thing {
	/** Makes it a resource that TarnPool can forget when another test changes the process. */
	discard(): void {}
	readonly id: number;

	constructor(id: number) {
		this.id = id;
	}
}

/** Makes things, and can be told to fail. */
class Factory {
	created = 0;
	failures = 0;
	destroyError: Error | undefined;
	readonly destroyed: Thing[] = [];
	/** What a validation refuses. */
	readonly broken = new Set<Thing>();

	async create(): Promise<Thing> {
		if (this.failures > 0) {
			this.failures--;
			throw new Error(`failure ${this.failures}`);
		}
		return new Thing(++this.created);
	}

	async destroy(thing: Thing): Promise<void> {
		this.destroyed.push(thing);
		if (this.destroyError !== undefined) throw this.destroyError;
	}
}

interface Run {
	readonly pool: Tarn<Thing>;
	readonly factory: Factory;
	/** Writes down what was seen, and what the pool says that it holds. */
	note(what: string, seen?: unknown): void;
}

/** Every event with its arguments, and every note, in their order. */
async function protocol(
	make: (options: TarnPoolOptions<Thing>) => Tarn<Thing>,
	sequence: Sequence,
	options: Case["options"] = {},
): Promise<unknown[]> {
	const lines: unknown[] = [];
	const factory = new Factory();
	const pool = make({
		create: () => factory.create(),
		destroy: (thing) => factory.destroy(thing),
		min: 0,
		max: 2,
		...(typeof options === "function" ? options(factory) : options),
	});
	for (const event of EVENTS) {
		pool.on(event as "release", (...seen: unknown[]) => void lines.push([event, ...seen.map(readable)]));
	}
	await sequence({
		pool,
		factory,
		note(what, seen) {
			const { destroyed } = pool as unknown as { destroyed: boolean };
			const counts = {
				used: pool.numUsed(),
				free: pool.numFree(),
				pendingAcquires: pool.numPendingAcquires(),
				pendingCreates: pool.numPendingCreates(),
				pendingValidations: pool.numPendingValidations(),
				isEmpty: pool.isEmpty(),
				destroyed,
			};
			lines.push({ what, seen: readable(seen), ...counts });
		},
	});
	pool.removeAllListeners("destroyRequest");
	(pool as unknown as { _stopReaping(): void })._stopReaping();
	return lines;
}

function readable(seen: unknown): unknown {
	if (seen instanceof Thing) return `thing ${seen.id}`;
	// The messages of time-outs are ours: they have the numbers.
	return seen instanceof Error
		? seen.constructor.name === "TimeoutError"
			? "TimeoutError"
			: `${seen.constructor.name}: ${seen.message}`
		: seen;
}
