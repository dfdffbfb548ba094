/**
 * Random commands against tarn and against ours, side by side, under one faked time. After each command everything that
 * can be observed has to be the same: the events and their arguments, how acquires were settled and in which order, what
 * the methods return, the counters, the log. fast-check prints the seed and the shortest list of commands that differs.
 *
 * What is tolerated, and nothing else (ARCHITECTURE.md, "Where it differs", has the reasons):
 * - messages of time-outs: tarn knows no reason, ours have numbers ({@link readable})
 * - what has just been created is not validated by ours (`Side.validate`)
 * - the numbers of events: only that the events of one request have the same (`Side.number`), and the order of events of
 *   different families within one command: tarn passes through more promises, and through a timer of 0 ms (`Side.take`)
 * - `max`: ours counts what is being ended, so that ends take their time only where `max` is out of reach, and creates
 *   that time out end at once when they are told to (`Setting.isRoomy`, `Side.create`)
 * - `destroy()` with acquires, creates or validations going on (`mayDestroy`), and the order in which it ends things (`end`)
 * - an acquire after `destroy()`: there is none
 * - a second release of what is being validated for somebody else (`Pair.#releaseOne`)
 */
import { inspect } from "node:util";
import { expect } from "chai";
import fc from "fast-check";
import { Pool as Tarn } from "tarn";
import { TarnPool } from "../src/index.ts";
import { FakeTimers } from "./support/fake-timers.ts";

const RUNS = Number(process.env["FORKSAFE_MODEL_RUNS"] ?? 2_000);

/** How often each command is tried. */
const commandWeights = {
	acquire: 40,
	abort: 8,
	release: 24,
	"release once more": 4,
	"release a stranger": 1,
	"a create succeeds": 30,
	"a create fails": 10,
	"a validation says yes": 18,
	"a validation says no": 8,
	"a validation fails": 4,
	"an end succeeds": 8,
	"an end fails": 4,
	"time passes": 18,
	check: 3,
	destroy: 2,
};
type CommandName = keyof typeof commandWeights;

/** `n` chooses among what is there: which thing comes back, which create ends, how much time passes. */
type Command = readonly [name: CommandName, n: number];

const commands: fc.Arbitrary<Command[]> = fc.array(
	fc.oneof(
		...Object.entries(commandWeights).map(([name, weight]) => ({
			weight,
			arbitrary: fc.tuple(fc.constant(name as CommandName), fc.nat({ max: 11 })),
		})),
	),
	{ minLength: 1, maxLength: 40, size: "max" },
);

interface Setting {
	readonly min: number;
	readonly max: number;
	readonly propagateCreateError: boolean;
	/** `create` calls back, or returns a promise. */
	readonly callsBack: boolean;
	/** Whether there is a `validate`. */
	readonly validates: boolean;
	/** `max` is out of reach, and ends take their time. */
	readonly isRoomy: boolean;
}

const setting: fc.Arbitrary<Setting> = fc.record({
	min: fc.constantFrom(0, 1),
	max: fc.constantFrom(1, 2, 3),
	propagateCreateError: fc.boolean(),
	callsBack: fc.boolean(),
	validates: fc.boolean(),
	isRoomy: fc.boolean(),
});

/** Without common factors, so that two time-outs seldom fall on the same moment. */
const times = {
	acquireTimeoutMillis: 211,
	createTimeoutMillis: 83,
	destroyTimeoutMillis: 59,
	idleTimeoutMillis: 97,
	reapIntervalMillis: 31,
	createRetryIntervalMillis: 37,
};

/**
 * No two commands begin at the same fraction of a millisecond, so that no two of their timers are due in the same moment:
 * which of them comes first would differ.
 */
const MOMENT = 1 / 64;

/** The order of events is compared within each of these. */
const families: Record<string, readonly string[]> = {
	acquire: ["acquireRequest", "acquireSuccess", "acquireFail"],
	create: ["createRequest", "createSuccess", "createFail"],
	destroy: ["destroyRequest", "destroySuccess", "destroyFail"],
	release: ["release"],
	reaping: ["startReaping", "stopReaping"],
	pool: ["poolDestroyRequest", "poolDestroySuccess"],
};
const familyOf = (event: string): string => Object.keys(families).find((name) => families[name]?.includes(event)) ?? "";

class Thing {
	readonly id: number;

	constructor(id: number) {
		this.id = id;
	}

	discard(): void {}
}

/** Where the world makes up its mind. */
interface Gate<T> {
	readonly thing?: Thing;
	readonly resolve: (value: T) => void;
	readonly reject: (error: unknown) => void;
	isOpen: boolean;
}

interface Pending {
	readonly abort: () => void;
	isPending: boolean;
}

/** One of the two pools, and everything that somebody outside of it would see. */
class Side {
	readonly pool: Tarn<Thing>;
	readonly creates: Gate<Thing>[] = [];
	readonly validations: Gate<boolean>[] = [];
	readonly ends: Gate<void>[] = [];
	readonly acquires: Pending[] = [];
	readonly held: Thing[] = [];
	/** Whatever was granted at any time. */
	readonly granted: Thing[] = [];
	readonly fresh = new Set<Thing>();
	isOver = false;
	readonly #setting: Setting;
	#lines: Record<string, unknown[]> = {};
	readonly #numbers = new Map<string, number>();
	#things = 0;

	constructor(make: (options: object) => Tarn<Thing>, given: Setting) {
		this.#setting = given;
		const { min, max, isRoomy, propagateCreateError } = given;
		this.pool = make({
			min,
			max: isRoomy ? 100 : max,
			propagateCreateError,
			...times,
			create: (callback: (error: unknown, thing?: Thing) => void, signal?: AbortSignal) => this.#create(callback, signal),
			destroy: (thing: Thing) => this.#destroy(thing),
			...(given.validates && { validate: (thing: Thing) => this.#validate(thing) }),
			log: (message: string, level: string) => this.note("log", level, withoutStack(message)),
		});
		for (const event of Object.values(families).flat()) {
			this.pool.on(event as "release", (...seen: unknown[]) => this.#heard(event, seen));
		}
	}

	acquire(): void {
		const name = `acquire ${this.acquires.length}`;
		const acquire = this.pool.acquire();
		const pending: Pending = { abort: () => acquire.abort(), isPending: true };
		this.acquires.push(pending);
		acquire.promise.then(
			(thing) => {
				pending.isPending = false;
				this.held.push(thing);
				this.granted.push(thing);
				this.note("settled", name, readable(thing));
			},
			(error: unknown) => {
				pending.isPending = false;
				this.note("settled", name, readable(error));
			},
		);
	}

	note(family: string, ...line: unknown[]): void {
		this.#lines[family] ??= [];
		this.#lines[family].push(line);
	}

	/** What was seen since the last time, family by family, and what the pool says of itself. */
	take(): object {
		const lines = this.#lines;
		this.#lines = {};
		this.fresh.clear();
		return {
			lines,
			used: this.pool.numUsed(),
			free: this.pool.numFree(),
			pendingAcquires: this.pool.numPendingAcquires(),
			pendingValidations: this.pool.numPendingValidations(),
			pendingCreates: this.pool.numPendingCreates(),
			isEmpty: this.pool.isEmpty(),
			destroyed: (this.pool as unknown as { destroyed: boolean }).destroyed,
		};
	}

	#heard(event: string, seen: unknown[]): void {
		const family = familyOf(event);
		const [id, ...rest] = seen;
		const first = typeof id === "number" ? this.#number(family, id) : readable(id);
		this.note(family, event, first, ...rest.map(readable));
	}

	/** The first, second, third of its family. */
	#number(family: string, id: number): number {
		const key = `${family} ${id}`;
		const known = this.#numbers.get(key);
		if (known !== undefined) return known;
		const next = [...this.#numbers.keys()].filter((other) => other.startsWith(`${family} `)).length;
		this.#numbers.set(key, next);
		return next;
	}

	#create(callback: (error: unknown, thing?: Thing) => void, signal?: AbortSignal): Promise<Thing> | undefined {
		const { promise, resolve, reject } = Promise.withResolvers<Thing>();
		const gate: Gate<Thing> = {
			resolve: (thing) => {
				this.fresh.add(thing);
				resolve(thing);
			},
			reject,
			isOpen: true,
		};
		this.creates.push(gate);
		signal?.addEventListener("abort", () => {
			gate.isOpen = false;
			reject(signal.reason);
		});
		if (!this.#setting.callsBack) return promise;
		promise.then(
			(thing) => callback(null, thing),
			(error: unknown) => callback(error),
		);
		return undefined;
	}

	newThing(): Thing {
		return new Thing(this.#things++);
	}

	#validate(thing: Thing): boolean | Promise<boolean> {
		return this.fresh.has(thing) || this.#gate(this.validations, thing);
	}

	#destroy(thing: Thing): Promise<void> | undefined {
		if (this.isOver || !this.#setting.isRoomy) return undefined;
		return this.#gate(this.ends, thing);
	}

	#gate<T>(gates: Gate<T>[], thing: Thing): Promise<T> {
		const { promise, resolve, reject } = Promise.withResolvers<T>();
		gates.push({ thing, resolve, reject, isOpen: true });
		return promise;
	}
}

/** Both sides, on which the same is done. */
class Pair {
	readonly tarns: Side;
	readonly ours: Side;
	readonly #timers: FakeTimers;

	constructor(given: Setting, timers: FakeTimers) {
		this.#timers = timers;
		this.tarns = new Side((options) => new Tarn<Thing>(options as never), given);
		this.ours = new Side((options) => new TarnPool<Thing>(options as never), given);
	}

	async run(commandsGiven: readonly Command[]): Promise<void> {
		for (const [step, [name, n]] of commandsGiven.entries()) {
			if (name === "destroy") {
				if (!this.#mayDestroy()) continue;
				break;
			}
			await this.#do(name, n);
			this.compare(`after ${step}: ${name} ${n}`);
		}
		if (this.#mayDestroy()) await this.#end();
	}

	compare(when: string): void {
		same(this.ours.take(), this.tarns.take(), when);
	}

	async #do(name: CommandName, n: number): Promise<void> {
		let millis = 1;
		switch (name) {
			case "acquire":
				this.#both((side) => side.acquire());
				break;
			case "abort":
				this.#pick(
					n,
					"acquires",
					(pending) => pending.isPending,
					(pending) => pending.abort(),
				);
				break;
			case "release":
				this.#releaseOne(n, "held");
				break;
			case "release once more":
				this.#releaseOne(n, "granted");
				break;
			case "release a stranger":
				this.#both((side) => this.#release(side, new Thing(-1)));
				break;
			case "a create succeeds":
				this.#open(n, "creates", (gate, side) => (gate as Gate<Thing>).resolve(side.newThing()));
				break;
			case "a create fails":
				this.#open(n, "creates", (gate) => gate.reject(new RangeError(`create ${n}`)));
				break;
			case "a validation says yes":
				this.#open(n, "validations", (gate) => (gate as Gate<boolean>).resolve(true));
				break;
			case "a validation says no":
				this.#open(n, "validations", (gate) => (gate as Gate<boolean>).resolve(false));
				break;
			case "a validation fails":
				this.#open(n, "validations", (gate) => gate.reject(new RangeError(`validate ${n}`)));
				break;
			case "an end succeeds":
				this.#open(n, "ends", (gate) => (gate as Gate<void>).resolve());
				break;
			case "an end fails":
				this.#open(n, "ends", (gate) => gate.reject(new RangeError(`end ${n}`)));
				break;
			case "check":
				this.#both((side) => side.pool.check());
				break;
			default:
				millis = 1 + n * 9;
		}
		await this.#timers.pass(millis + MOMENT);
		// A create that ours was told to give up is left alone on the other side as well.
		for (const [index, gate] of this.ours.creates.entries()) {
			const twin = this.tarns.creates[index];
			if (!gate.isOpen && twin !== undefined) twin.isOpen = false;
		}
	}

	/** From `held`, only once. Not what has been released before and is being validated for somebody else. */
	#releaseOne(n: number, from: "held" | "granted"): void {
		const index = n % Math.max(1, this.tarns[from].length);
		const thing = this.tarns[from][index];
		if (this.tarns.validations.some((gate) => gate.isOpen && gate.thing === thing)) return;
		this.#both((side) => {
			const released = side[from][index];
			if (from === "held") side.held.splice(index, 1);
			this.#release(side, released);
		});
	}

	#release(side: Side, thing?: Thing): void {
		if (thing !== undefined) side.note("release", "returns", side.pool.release(thing));
	}

	#both(action: (side: Side) => void): void {
		action(this.tarns);
		action(this.ours);
	}

	#pick(n: number, where: "acquires", may: (one: Pending) => boolean, action: (one: Pending) => void): void {
		this.#both((side) => {
			const open = side[where].filter(may);
			const one = open[n % Math.max(1, open.length)];
			if (one !== undefined) action(one);
		});
	}

	#open(n: number, where: "creates" | "validations" | "ends", action: (gate: Gate<never>, side: Side) => void): void {
		this.#both((side) => {
			const open = side[where].filter((gate) => gate.isOpen);
			const gate = open[n % Math.max(1, open.length)];
			if (gate === undefined) return;
			gate.isOpen = false;
			action(gate as Gate<never>, side);
		});
	}

	#mayDestroy(): boolean {
		const { pool } = this.tarns;
		return pool.numPendingAcquires() + pool.numPendingCreates() + pool.numPendingValidations() === 0;
	}

	/** Both end the same things, each with the same events, and say last that they are over. */
	async #end(): Promise<void> {
		this.#both((side) => {
			side.isOver = true;
			void side.pool.destroy().then((inspection) => side.note("over", inspection.isRejected(), inspection.value()));
		});
		await this.#timers.pass(0);
		this.#both((side) => {
			for (const thing of side.held.splice(0)) this.#release(side, thing);
			// What tarn has not begun to end is in nobody's hands.
			for (const gate of side.ends) (gate as Gate<void>).resolve();
		});
		await this.#timers.pass(1_000);
		const sorted = (side: Side): object => {
			const taken = side.take() as { lines: Record<string, unknown[]> };
			const ended = (taken.lines["destroy"] ?? []).map((line) => (line as unknown[]).filter((_, index) => index !== 1).join(" "));
			return { ...taken, lines: { ...taken.lines, destroy: ended.sort() } };
		};
		same(sorted(this.ours), sorted(this.tarns), "after destroy");
	}
}

describe("TarnPool, side by side with tarn", () => {
	it(`does what tarn does, ${RUNS} times at random`, async function () {
		this.timeout(Math.max(30_000, RUNS * 20));
		await fc.assert(
			fc.asyncProperty(setting, commands, async (given, list) => {
				const timers = new FakeTimers();
				timers.install();
				try {
					await new Pair(given, timers).run(list);
				} finally {
					timers.uninstall();
				}
			}),
			{ numRuns: RUNS, ...(process.env["FORKSAFE_MODEL_SEED"] && { seed: Number(process.env["FORKSAFE_MODEL_SEED"]) }) },
		);
	});
});

function same(ours: object, tarns: object, when: string): void {
	expect(ours, `${when}\nours ${inspect(ours, { depth: 9 })}\ntarn ${inspect(tarns, { depth: 9 })}\n`).to.deep.equal(tarns);
}

/** tarn has no reason for a time-out, and ours says how long it was and what was in use. */
const TIME_OUT =
	/^(operation timed out for an unknown reason|no connection within \d+ ms .*|no connection could be opened: no connection was established within \d+ ms|the connection did not end within \d+ ms)$/;

function readable(seen: unknown): unknown {
	if (seen instanceof Thing) return `thing ${seen.id}`;
	if (!(seen instanceof Error)) return seen;
	return `${seen.constructor.name}: ${seen.message.replace(TIME_OUT, "time-out")}`;
}

/** tarn logs the stack of an error, whose first line is its message. */
function withoutStack(message: string): string {
	const [line = ""] = message.split("\n");
	const [before, after] =
		line.split(": ").length > 2 ? [line.slice(0, line.lastIndexOf(": ")), line.slice(line.lastIndexOf(": ") + 2)] : [line, ""];
	return `${before}: ${after.replace(TIME_OUT, "time-out")}`;
}
