/**
 * Random commands against one pool, in process after process. After each command the invariants at the top of pool.ts
 * are checked; fast-check prints the seed and the shortest list of commands that breaks one.
 */
import process from "node:process";
import { expect } from "chai";
import fc from "fast-check";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { settle } from "../../../test/support/promises.ts";
import { Pool, type PoolOptions, ProcessChangedError, ReleaseError, ResumedError, reportProcessChange } from "../src/index.ts";
import { FakeClock } from "./support/fake-clock.ts";
import { type ConnectGate, type Connection, type Gate, GatedDriver, Transient } from "./support/gated-driver.ts";
import { GatedPermits } from "./support/gated-permits.ts";

const RUNS = Number(process.env["FORKSAFE_MODEL_RUNS"] ?? 5_000);

/** How often each command is tried. */
const commandWeights = {
	acquire: 40,
	"acquire with a signal": 8,
	abort: 6,
	release: 24,
	"release and destroy": 8,
	"release a dead connection": 4,
	"release once more": 4,
	"a connection dies": 6,
	"invalidate a connection": 4,
	"a connect succeeds": 32,
	"a connect fails": 8,
	"a connect fails for a reason that passes": 8,
	"a validation says yes": 16,
	"a validation says no": 4,
	"a validation fails": 3,
	"a permit comes": 24,
	"a permit is refused": 2,
	"others need permits": 4,
	"an end succeeds": 12,
	"an end fails": 3,
	"time passes": 14,
	"the process is stopped and goes on": 3,
	"the process changes": 5,
	"the process is copied unnoticed": process.platform === "win32" ? 0 : 6,
	suspend: 3,
	resume: 4,
	drain: 1,
	close: 1,
};
type CommandName = keyof typeof commandWeights;

/** `n` chooses among what is there: which connection comes back, which connect ends, how much time passes. */
type Command = readonly [name: CommandName, n: number];

const commands: fc.Arbitrary<Command[]> = fc.array(
	fc.oneof(
		...Object.entries(commandWeights).map(([name, weight]) => ({
			weight,
			arbitrary: fc.tuple(fc.constant(name as CommandName), fc.nat({ max: 11 })),
		})),
	),
	{ minLength: 1, maxLength: 60, size: "max" },
);

interface Setting extends PoolOptions {
	validates: boolean;
	/** Whether a connect in progress ends when it is aborted. */
	heedsAbort: boolean;
	/** Whether permits have to be waited for. */
	waitsForPermits: boolean;
	/** What chance says, every time. */
	chance: number;
}

/** So long connects are held back at most, as far as these tests make them fail. */
const HELD_BACK_MILLIS = 400;

const setting: fc.Arbitrary<Setting> = fc.record({
	validates: fc.boolean(),
	heedsAbort: fc.boolean(),
	waitsForPermits: fc.boolean(),
	chance: fc.constantFrom(0.2, 0.7),
	connectHeadStartMillis: fc.constantFrom(0, 0, 5),
	validateAfterIdleMillis: fc.constantFrom(0, 1, 30),
	min: fc.constantFrom(0, 1),
	max: fc.constantFrom(1, 2, 3),
	maxUses: fc.constantFrom(0, 0, 1, 3),
	acquireTimeoutMillis: fc.constantFrom(0, 200),
	connectTimeoutMillis: fc.constantFrom(0, 60),
	validateTimeoutMillis: fc.constantFrom(0, 60),
	destroyTimeoutMillis: fc.constantFrom(0, 60),
	idleTimeoutMillis: fc.constantFrom(0, 80),
	maxLifetimeMillis: fc.constantFrom(0, 150),
	maintenanceIntervalMillis: fc.constantFrom(20, 1_000),
});

/** What has become of one connection. Processes are counted from 0. */
interface Life {
	readonly openedIn: number;
	destroyedIn?: number;
	discardedIn?: number;
}

interface Acquire {
	readonly madeIn: number;
	readonly since: number;
	/** How long the process had been stopped by then. */
	readonly stoppedBefore: number;
	readonly timeoutMillis: number;
	readonly controller: AbortController | undefined;
	state: "pending" | "granted" | "rejected";
}

/** Notes who asks for what, and whether they may. */
class WatchedDriver extends GatedDriver {
	readonly #world: World;

	constructor(world: World, { validates, heedsAbort }: Setting) {
		super({ stopsAt: ["connect", "validate", "destroy"], validates });
		this.#world = world;
		const { validate } = this;
		if (validate !== undefined) {
			Object.assign(this, {
				validate: (connection: Connection) => {
					world.mustBeOurs(connection, "validated");
					return validate(connection);
				},
			});
		}
		if (heedsAbort) this.onConnect = (gate) => gate.signal.addEventListener("abort", () => gate.fail(gate.signal.reason));
	}

	onConnect: (gate: ConnectGate) => void = () => {};

	override connect(signal: AbortSignal): Promise<Connection> {
		const result = super.connect(signal);
		const gate = this.connects.at(-1) as ConnectGate;
		this.#world.connectBegan(gate);
		this.onConnect(gate);
		return result;
	}

	override destroy(connection: Connection): Promise<void> {
		this.#world.mustBeOurs(connection, "ended");
		this.#world.lifeOf(connection).destroyedIn = this.#world.process;
		return super.destroy(connection);
	}

	override discard(...args: Parameters<GatedDriver["discard"]>): void {
		this.#world.discarded(args[0]);
		super.discard(...args);
	}
}

/** Counts the permits of each process. */
class WatchedPermits extends GatedPermits {
	readonly #world: World;
	/** Of which process the permits are that `held` counts. */
	#countedIn = 0;
	/** Permits may come also when nobody waits for them any more. */
	readonly pending: { readonly grant: () => void; readonly refuse: (error: unknown) => void }[] = [];

	constructor(world: World, { waitsForPermits }: Setting) {
		super(waitsForPermits ? 0 : Number.POSITIVE_INFINITY);
		this.#world = world;
	}

	override acquire(signal: AbortSignal): Promise<void> | void {
		this.ofThisProcess();
		const madeIn = this.#world.process;
		const permit = super.acquire(signal);
		const request = this.requests.at(-1);
		if (permit !== undefined && request !== undefined) {
			const grant = (): void => {
				if (madeIn === this.ofThisProcess()) request.grant();
			};
			this.pending.push({ grant, refuse: request.refuse });
		}
		return permit;
	}

	override release(): void {
		this.ofThisProcess();
		super.release();
		if (this.held < 0) this.#world.violation("a permit is given back that this process does not have");
	}

	/** What a process held is not this one's. */
	ofThisProcess(): number {
		if (this.#countedIn !== this.#world.process) this.held = 0;
		this.#countedIn = this.#world.process;
		return this.#countedIn;
	}
}

/** The pool, and everything that a process outside of it would know. */
class World {
	/** How many processes this one was copied from. */
	process = 0;
	readonly clock = new FakeClock();
	readonly driver: WatchedDriver;
	readonly permits: WatchedPermits;
	readonly pool: Pool<Connection>;
	readonly #setting: Setting;
	#stoppedMillis = 0;
	/** Whether connects begin one after the other: always, or because one has failed for a reason that passes. */
	#mayHoldBack: boolean;
	/** Since when somebody waits, and nothing is on its way. */
	#heldBackSince: number | undefined;
	readonly #fake: FakeProcess;
	readonly #lives = new Map<Connection, Life>();
	readonly #connects = new Map<ConnectGate, number>();
	readonly #openedBy = new Map<ConnectGate, Connection>();
	readonly #acquires: Acquire[] = [];
	/** What the application has and will give back. */
	readonly #held = new Set<Connection>();
	readonly #violations: unknown[] = [];
	/** So many more commands are run before anybody looks who this process is. */
	#blindFor = 0;
	#pid = 992_000;

	constructor(options: Setting, fake: FakeProcess) {
		this.#setting = options;
		this.#mayHoldBack = options.connectHeadStartMillis !== 0;
		this.#fake = fake;
		this.driver = new WatchedDriver(this, options);
		this.permits = new WatchedPermits(this, options);
		const { validates: _, heedsAbort: __, waitsForPermits: ___, chance, ...poolOptions } = options;
		const { clock, permits } = this;
		this.pool = new Pool(this.driver, { ...poolOptions, clock, permits, random: () => chance });
	}

	/** What must not be. It is kept until the next check, because the pool catches what a driver throws. */
	violation(what: unknown): void {
		this.#violations.push(what);
	}

	lifeOf(connection: Connection): Life {
		const life = this.#lives.get(connection);
		if (life === undefined) throw new Error("the pool asks about a connection that was never opened");
		return life;
	}

	connectBegan(gate: ConnectGate): void {
		this.#connects.set(gate, this.process);
		this.#heldBackSince = undefined;
		const wanted = this.#acquires.some(({ madeIn }) => madeIn === this.process);
		if (!wanted) this.violation("a connection is opened in a process that has not asked for one");
		this.#mustHavePermits();
	}

	/** For everything that this process has begun to open, and that has not ended. */
	#mustHavePermits(): void {
		this.permits.ofThisProcess();
		const begun = [...this.#connects].filter(([gate, madeIn]) => madeIn === this.process && !this.#hasEnded(gate));
		if (begun.length > this.permits.held) this.violation(`${begun.length} connections, and ${this.permits.held} permits`);
	}

	#hasEnded(gate: ConnectGate): boolean {
		const connection = this.#openedBy.get(gate);
		if (connection === undefined) return gate.isOpen;
		return this.driver.destroys.some((end) => end.connection === connection && end.isOpen);
	}

	mustBeOurs(connection: Connection, what: string): void {
		const { openedIn, destroyedIn, discardedIn } = this.lifeOf(connection);
		if (openedIn !== this.process) this.violation(`connection ${connection.id} of another process is ${what}`);
		if (destroyedIn !== undefined) this.violation(`connection ${connection.id} is ${what} after its end`);
		if (discardedIn !== undefined) this.violation(`connection ${connection.id} is ${what} after it was forgotten`);
	}

	discarded(connection: Connection): void {
		const life = this.lifeOf(connection);
		if (life.openedIn === this.process) this.violation(`connection ${connection.id} is forgotten by the process that opened it`);
		if (life.discardedIn !== undefined) this.violation(`connection ${connection.id} is forgotten twice`);
		life.discardedIn = this.process;
	}

	async run([name, n]: Command): Promise<void> {
		const began = this.clock.now();
		const isSuspended = this.pool.state === "suspended";
		await this.#act(name, n);
		await settle();
		if (isSuspended) this.#stoppedMillis += this.clock.now() - began;
		if (this.#blindFor > 0) {
			this.#blindFor--;
			if (this.#blindFor === 0) this.pool.stats(); // which looks
			await settle();
		}
		if (this.#blindFor === 0) this.check();
		this.#throwViolations();
	}

	/** Lets everything end, and looks whether it has. */
	async finish(): Promise<void> {
		this.pool.close().catch((error: unknown) => this.violation(error));
		this.driver.stopsAt.clear();
		for (let round = 0; round < 3; round++) {
			for (const gate of this.#closed(this.driver.connects)) this.#open(gate);
			for (const gate of this.#closed(this.driver.validations)) gate.succeed(true);
			for (const gate of this.#closed(this.driver.destroys)) gate.succeed();
			await settle();
		}
		this.check();
		this.#throwViolations();
		expect(this.pool.stats()).to.include({ state: "closed", total: 0 });
		expect(this.clock.running, "timers of a closed pool").to.equal(0);
		this.permits.ofThisProcess();
		expect(this.permits.held, "permits of a closed pool").to.equal(0);
		for (const [{ id }, { destroyedIn, discardedIn }] of this.#lives) {
			expect(destroyedIn ?? discardedIn, `the process in which connection ${id} ended`).not.to.equal(undefined);
		}
	}

	/** The invariants. */
	check(): void {
		const stats = this.pool.stats();
		const { connecting, idle, validating, used, destroying, total, max, pending, state } = stats;
		const must = (what: string, holds: boolean): void => {
			if (!holds) this.violation(`not true: ${what}; ${JSON.stringify(stats)}`);
		};
		must("no count is below zero", Math.min(connecting, idle, validating, used, destroying, pending) >= 0);
		must("the states make up the total", connecting + idle + validating + used + destroying === total);
		must("there are max connections at most", total <= max);

		if (pending > 0) {
			must("only a pool that is open, or will be, lets anybody wait", state === "open" || state === "suspended");
			must("nobody waits while something is idle, unless it is being validated for them", idle === 0 || pending <= validating);
			const isServed = state === "suspended" || total === max || pending <= connecting + validating;
			if (!this.#mayHoldBack) must("who waits has a connection on its way, or the pool is full", isServed);
			if (isServed || connecting > 0) this.#heldBackSince = undefined;
			else this.#heldBackSince ??= this.clock.now();
			const heldBackMillis = this.clock.now() - (this.#heldBackSince ?? this.clock.now());
			must("connects are held back for a while only", heldBackMillis <= HELD_BACK_MILLIS);
		} else {
			this.#heldBackSince = undefined;
		}
		if (state === "draining") must("what drains has only connections in use or ending", total > 0 && used + destroying === total);
		if (state === "suspended") must("what is suspended has nothing idle", idle + validating === 0);
		if (state === "closed") must("what is closed has no connections", total === 0);

		this.#mustHavePermits();
		const lives = [...this.#lives];
		const open = lives.filter(([, life]) => life.openedIn === this.process && life.destroyedIn === undefined);
		must("every open connection is known to the pool", idle + validating + used === open.length);
		must("used are those that somebody has", used === open.filter(([connection]) => this.#held.has(connection)).length);
		must(
			"everything inherited is forgotten",
			lives.every(
				([, life]) => life.openedIn === this.process || life.destroyedIn !== undefined || life.discardedIn !== undefined,
			),
		);
		for (const connection of this.#held) if (this.lifeOf(connection).openedIn !== this.process) this.#held.delete(connection);

		const waiting = this.#acquires.filter((acquire) => acquire.state === "pending");
		must("pending are those who wait", pending === waiting.length);
		for (const { madeIn, since, stoppedBefore, timeoutMillis } of waiting) {
			must("nobody of another process waits", madeIn === this.process);
			const waited = this.clock.now() - since - (this.#stoppedMillis - stoppedBefore);
			must("nobody waits beyond the time-out, while the process runs", timeoutMillis === 0 || waited < timeoutMillis);
		}
	}

	async #act(name: CommandName, n: number): Promise<void> {
		const { clock, driver, pool } = this;
		switch (name) {
			case "acquire":
				this.#acquire(n % 4 === 3 ? 70 : undefined, undefined);
				break;
			case "acquire with a signal":
				this.#acquire(undefined, new AbortController());
				break;
			case "abort":
				choose(
					this.#acquires.filter(({ controller, state }) => controller !== undefined && (state === "pending" || n === 0)),
					n,
				)?.controller?.abort(new Error("aborted"));
				break;
			case "release":
				this.#release(n, (connection) => pool.release(connection));
				break;
			case "release and destroy":
				this.#release(n, (connection) => pool.release(connection, { destroy: true }));
				break;
			case "release a dead connection":
				this.#release(n, (connection) => {
					connection.isAlive = false;
					pool.release(connection);
				});
				break;
			case "release once more":
				this.#releaseOnceMore(n);
				break;
			case "a connection dies": {
				const connection = choose([...this.#lives.keys()].slice(-5), n);
				if (connection !== undefined) connection.isAlive = false;
				break;
			}
			case "invalidate a connection": {
				const connection = choose([...this.#lives.keys()].slice(-5), n);
				if (connection !== undefined) pool.invalidate(connection);
				break;
			}
			case "a connect succeeds":
				this.#open(choose(this.#closed(driver.connects), n));
				break;
			case "a connect fails":
				choose(this.#closed(driver.connects), n)?.fail(new Error("refused"));
				break;
			case "a connect fails for a reason that passes":
				this.#mayHoldBack = true;
				choose(this.#closed(driver.connects), n)?.fail(new Transient("too many connections"));
				break;
			case "a validation says yes":
			case "a validation says no":
				choose(this.#closed(driver.validations), n)?.succeed(name === "a validation says yes");
				break;
			case "a validation fails":
				choose(this.#closed(driver.validations), n)?.fail(new Error("broken pipe"));
				break;
			case "a permit comes":
			case "a permit is refused": {
				const [request] = this.permits.pending.splice(n % Math.max(1, this.permits.pending.length), 1);
				if (name === "a permit comes") request?.grant();
				else request?.refuse(new Error("no budget"));
				break;
			}
			case "others need permits":
				this.permits.want(1 + (n % 3));
				break;
			case "an end succeeds":
				choose(this.#closed(driver.destroys), n)?.succeed();
				break;
			case "an end fails":
				choose(this.#closed(driver.destroys), n)?.fail(new Error("broken pipe"));
				break;
			case "time passes":
				await clock.advance(1 + n * 12);
				break;
			case "the process is stopped and goes on":
				this.#stoppedMillis += n * 50 + pool.options.maintenanceIntervalMillis;
				clock.jump(n * 50);
				break;
			case "the process changes":
				this.process++;
				reportProcessChange();
				break;
			case "the process is copied unnoticed":
				this.process++;
				this.#fake.fork(++this.#pid, this.#pid - 1);
				this.#blindFor = 2 + (n % 3);
				break;
			case "suspend": {
				const acquires = n % 4 === 0 ? "reject" : "wait";
				pool.suspend({ deadlineMillis: (n % 3) * 100, acquires }).catch((error: unknown) => {
					if (!(error instanceof ResumedError)) this.violation(error);
				});
				break;
			}
			case "resume":
				pool.resume();
				break;
			case "drain":
				pool.drain({ deadlineMillis: (n % 3) * 100 }).catch((error: unknown) => this.violation(error));
				break;
			case "close":
				pool.close().catch((error: unknown) => this.violation(error));
				break;
		}
	}

	#acquire(timeoutMillis: number | undefined, controller: AbortController | undefined): void {
		const acquire: Acquire = {
			madeIn: this.process,
			since: this.clock.now(),
			stoppedBefore: this.#stoppedMillis,
			timeoutMillis: timeoutMillis ?? this.#setting.acquireTimeoutMillis ?? 0,
			controller,
			state: "pending",
		};
		this.#acquires.push(acquire);
		const options = { ...(timeoutMillis !== undefined && { timeoutMillis }), ...(controller && { signal: controller.signal }) };
		const isPlain = timeoutMillis === undefined && controller === undefined;
		this.pool.acquire(isPlain ? undefined : options).then(
			(connection) => this.#granted(acquire, connection),
			(reason: unknown) => this.#rejected(acquire, reason),
		);
	}

	#granted(acquire: Acquire, connection: Connection): void {
		acquire.state = "granted";
		this.mustBeOurs(connection, "handed out");
		if (acquire.madeIn !== this.process) this.violation("an acquire of another process is served");
		if (this.#held.has(connection)) this.violation(`connection ${connection.id} is handed out twice`);
		if (!connection.isAlive) this.violation(`connection ${connection.id} is handed out dead`);
		const earlier = this.#acquires.slice(0, this.#acquires.indexOf(acquire));
		if (earlier.some(({ state }) => state === "pending")) this.violation("an acquire is served before an earlier one");
		this.#held.add(connection);
	}

	#rejected(acquire: Acquire, reason: unknown): void {
		acquire.state = "rejected";
		const isOfAnother = acquire.madeIn !== this.process;
		if (isOfAnother && !(reason instanceof ProcessChangedError) && !acquire.controller?.signal.aborted) this.violation(reason);
		if (!isOfAnother && reason instanceof ProcessChangedError)
			this.violation("an acquire of this process is rejected as inherited");
		if (!(reason instanceof Error) || reason.message.startsWith("bug:")) this.violation(reason);
	}

	#release(n: number, release: (connection: Connection) => void): void {
		const connection = choose([...this.#held], n);
		if (connection === undefined) return;
		this.#held.delete(connection);
		release(connection);
	}

	/** Of what nobody has any more: it throws, or it changes nothing. */
	#releaseOnceMore(n: number): void {
		const connection = choose(
			[...this.#lives.keys()].filter((one) => !this.#held.has(one)),
			n,
		);
		if (connection === undefined) return;
		const before = this.#blindFor > 0 ? undefined : this.pool.stats();
		try {
			this.pool.release(connection, n % 2 === 0 ? undefined : { destroy: true });
		} catch (error) {
			if (!(error instanceof ReleaseError)) throw error;
		}
		if (before !== undefined) expect(this.pool.stats()).to.deep.equal(before);
	}

	#open(gate: ConnectGate | undefined): void {
		if (gate === undefined) return;
		const connection = gate.open();
		this.#openedBy.set(gate, connection);
		this.#lives.set(connection, { openedIn: this.#connects.get(gate) ?? -1 });
	}

	#closed<G extends Gate<never> | Gate<Connection> | Gate<boolean> | Gate<void>>(gates: readonly G[]): G[] {
		return gates.filter(({ isOpen }) => !isOpen);
	}

	#throwViolations(): void {
		const [first] = this.#violations;
		if (first !== undefined) throw first;
	}
}

function choose<T>(list: readonly T[], n: number): T | undefined {
	return list[n % Math.max(list.length, 1)];
}

describe("pool, whatever happens to it", () => {
	const fake = new FakeProcess();
	let world: World | undefined;
	let others: NodeJS.UnhandledRejectionListener[] = [];
	const onUnhandledRejection = (reason: unknown): void => world?.violation(reason);

	// What the pool fails to catch belongs to the run that caused it, so that its seed is printed.
	before(() => {
		others = process.listeners("unhandledRejection");
		process.removeAllListeners("unhandledRejection");
		process.on("unhandledRejection", onUnhandledRejection);
	});

	after(() => {
		process.off("unhandledRejection", onUnhandledRejection);
		for (const listener of others) process.on("unhandledRejection", listener);
	});

	it("keeps its invariants", async function () {
		this.timeout(0);
		await fc.assert(
			fc.asyncProperty(setting, commands, async (options, list) => {
				world = new World(options, fake);
				try {
					for (const command of list) await world.run(command);
					await world.finish();
				} finally {
					fake.restore();
				}
			}),
			{ numRuns: RUNS, endOnFailure: false },
		);
	});
});
