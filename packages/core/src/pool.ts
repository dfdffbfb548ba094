/**
 * A pool of connections that belongs to one process at a time.
 *
 * Invariants, which the property tests assert:
 * - connecting + idle + validating + used + destroying never exceed `max`
 * - whoever waits, waits because nothing is idle, and `max` is reached, a connection is on its way for them, or the next
 *   connect waits for its moment (connect-pace.ts)
 * - a waiter is settled exactly once, in the order of arrival among those that are granted
 * - a connection ends exactly once: destroyed by the process that opened it, or discarded by every other
 * - the permit of a connection is taken before its connect begins, and given back exactly once, when it has ended for good
 * - every entry, waiter, timer and connect in progress belongs to the pool's generation; what belongs to an earlier one
 *   is `discarded` or settled, and whatever still arrives for it (a connect that ends, a release) changes nothing
 *
 * Pool: open <-> suspended, then -> draining -> closed. Entry and waiter: entry.ts, wait-queue.ts.
 */
import { EventEmitter } from "node:events";
import {
	acquireChannel,
	closeChannel,
	createChannel,
	destroyChannel,
	discardChannel,
	leakChannel,
	processChangeChannel,
	releaseChannel,
} from "./channels.ts";
import type { Clock, Timer } from "./clock.ts";
import { ConnectPace } from "./connect-pace.ts";
import { Deadlines } from "./deadlines.ts";
import type { Driver } from "./driver.ts";
import { Entry, type EntryState } from "./entry.ts";
import {
	type AcquirePhase,
	AcquireTimeoutError,
	ConnectError,
	InheritedConnectionError,
	OptionError,
	PoolClosedError,
	PoolSuspendedError,
	ProcessChangedError,
	QueueFullError,
	ReleaseError,
	ResumedError,
	withoutStack,
} from "./errors.ts";
import { guarded } from "./guarded.ts";
import { LeakWatch, stackAbove } from "./leak-watch.ts";
import { Lease } from "./lease.ts";
import { LostTime } from "./lost-time.ts";
import {
	checkDuration,
	checkSuspendOptions,
	type PoolOptions,
	type ResolvedPoolOptions,
	rejectUnknownOptions,
	resolvePoolOptions,
} from "./options.ts";
import type { Permits } from "./permits.ts";
import type {
	AcquireOptions,
	AcquireRequest,
	DrainOptions,
	PoolEvents,
	PoolState,
	PoolStats,
	ReleaseOptions,
} from "./pool-interface.ts";
import type { ProcessChange } from "./process-change.ts";
import { currentGeneration, inspectProcess, knownGeneration, lastProcessChange } from "./process-identity.ts";
import { type ConnectionHolder, registerHolder, type SuspendOptions } from "./process-registry.ts";
import { askBeforeSnapshot, isBuildingSnapshot, type OpenConnection } from "./snapshot.ts";
import { Standstill } from "./standstill.ts";
import { WaitDeadline } from "./wait-deadline.ts";
import { Waiter, WaitQueue } from "./wait-queue.ts";

/** Of `drain()` and `suspend()`. */
const DEFAULT_DEADLINE_MILLIS = 30_000;
const SHORTEST_MAINTENANCE_INTERVAL_MILLIS = 10;
/** So much of its lifetime a connection may lose by chance. */
const LIFETIME_JITTER = 0.1;
/** A connection that comes back and goes out within this time is not looked at: what can happen to it, happens to any. */
const FRESH_MILLIS = 10;
/** Whoever came a moment after a connect had begun has waited for it, too. */
const NEARLY = 0.99;
/** How likely a tick is to open one of the connections that `min` lacks: processes that tick together do not all do so. */
const REPLACE_PROBABILITY = 0.5;
/** Made once: hundreds may be withdrawn in a second. */
const NOT_NEEDED = "the permit is not needed any more";

/**
 * Hands out connections of a {@link Driver}, at most `max` at a time, and starts afresh when its process has changed.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor
 * @example
 * ```ts
 * const pool = new Pool(driver, { max: 5 });
 * const answer = await pool.use((connection) => connection.ask("?"));
 * await pool.drain();
 * ```
 */
export class Pool<R extends object> extends EventEmitter<PoolEvents<R>> {
	readonly options: ResolvedPoolOptions;
	readonly #driver: Driver<R>;
	readonly #clock: Clock;
	readonly #waiters = new WaitQueue<Waiter<R>>();
	/** Of every resource that was ever ours, also after its end: a late release must find out that it is too late. */
	readonly #entryOf = new WeakMap<R, Entry<R>>();
	#entries = new Set<Entry<R>>();
	/** What went out last: often it comes back first, and then need not be looked up. */
	#lastTaken: Entry<R> | undefined;
	/** The connection used last is handed out first, so that those not needed can grow old. */
	#idle: Entry<R>[] = [];
	/** Whether the driver has anybody to ask: then what has been idle is not trusted blindly. */
	readonly #validates: boolean;
	readonly #pace: ConnectPace;
	#paceTimer: Timer | undefined;
	/** Whether a connect has ever succeeded, in this process or in one that it was copied from. */
	#hasConnected = false;
	/** Whether `min` is kept: once this process has used the pool, and as long as connects succeed. */
	#keepsMin = false;
	/** How often every connection was to be replaced. */
	#evictions = 0;
	/** Those that do not count any more, because their time to end politely is over, and that the driver still ends. */
	readonly #lingering = new Set<R>();
	/** So many of those that are connecting wait for a permit. */
	#awaitingPermits = 0;
	/** So many are in these states; idle and used follow from them, `#idle` and `#entries`. */
	#connecting = 0;
	#validating = 0;
	#destroying = 0;
	#state: PoolState = "open";
	#generation: number;
	#looks: boolean;
	readonly #lostTime: LostTime;
	readonly #standstill: Standstill;
	readonly #deadlines: Deadlines;
	/** Of those who wait: they stand still while the pool is suspended. */
	readonly #waitDeadlines: Deadlines;
	readonly #waitDeadline: WaitDeadline<R>;
	#leakWatch: LeakWatch<R> | undefined;
	/** How the registry reaches this pool. The registry holds it weakly, so the pool has to keep it. */
	readonly #holder: ConnectionHolder = {
		discardInherited: (change) => this.#startAfresh(change),
		announce: (change) => this.#announce(change),
		suspend: (options) => this.suspend(options),
		resume: () => this.resume(),
	};
	/** How the permits reach it, which may outlive this pool. */
	readonly #permitHolder: PermitHolder = { giveBack: () => this.#giveBack() };
	readonly #unregister: () => void;
	readonly #stopListening: () => void;
	#maintenance: Timer | undefined;
	#stopDrainDeadline: () => void = nothing;
	readonly #closed = Promise.withResolvers<void>();
	/** While it is suspended, until the last connection has gone. */
	#emptied: PromiseWithResolvers<void> | undefined;
	/** While it is suspended: whether acquires are rejected instead of waiting. */
	#rejectsAcquires = false;

	constructor(driver: Driver<R>, options?: PoolOptions) {
		super();
		this.options = resolvePoolOptions(options);
		this.#driver = driver;
		this.#clock = this.options.clock;
		this.#validates = driver.validate !== undefined;
		this.#lostTime = new LostTime(this.#clock);
		this.#standstill = new Standstill(this.#clock, this.#lostTime);
		const owner = { generation: () => this.#generation, look: () => this.#look() };
		this.#deadlines = new Deadlines(this.#clock, this.#lostTime, owner);
		this.#waitDeadlines = new Deadlines(this.#clock, this.#standstill, owner);
		const { acquireTimeoutMillis, leakThresholdMillis, random, connectHeadStartMillis, maxConnecting } = this.options;
		this.#waitDeadline = new WaitDeadline(this.#clock, this.#standstill, this.#waiters, acquireTimeoutMillis, {
			look: () => this.#look(),
			timedOut: (waiter) => this.#timedOut(waiter),
		});
		this.#pace = new ConnectPace(this.#clock, { headStartMillis: connectHeadStartMillis, most: maxConnecting, random });
		// Who has a connection when a snapshot is written is told without being asked for.
		if (leakThresholdMillis > 0 || isBuildingSnapshot()) this.#leakWatch = new LeakWatch(leakThresholdMillis, this.#clock);
		askBeforeSnapshot(() => this.#leases());
		this.#looks = this.options.processWatch !== "off";
		this.#generation = this.#looks ? currentGeneration() : knownGeneration();
		this.#unregister = registerHolder(this.#holder);
		this.#stopListening = listenWeakly(this.options.permits, this.#permitHolder);
	}

	/** `open`, `suspended`, `draining` or `closed`. */
	get state(): PoolState {
		return this.#state;
	}

	/**
	 * Takes a connection out of the pool, opening one if need be. Who takes one releases it.
	 *
	 * @throws AcquireTimeoutError (ERR_FORKSAFE_ACQUIRE_TIMEOUT) when none could be had in time
	 * @throws ConnectError (ERR_FORKSAFE_CONNECT) when the driver cannot open one; its error is the `cause`
	 * @throws ProcessChangedError (ERR_FORKSAFE_PROCESS_CHANGED) when the process changed while it waited
	 * @throws PoolClosedError (ERR_FORKSAFE_CLOSED), QueueFullError (ERR_FORKSAFE_QUEUE_FULL), OptionError
	 * (ERR_FORKSAFE_OPTION), PoolSuspendedError (ERR_FORKSAFE_SUSPENDED), or the reason of the signal
	 */
	acquire(options?: AcquireOptions): Promise<R> {
		if (this.#leakWatch !== undefined || acquireChannel.hasSubscribers) return this.#acquireWatched(options);
		return this.#acquire(options);
	}

	/**
	 * Like {@link Pool.acquire}, for who keeps the time for thousands: without a time-out, and given up by a call instead of a
	 * signal. `leakThresholdMillis` does not watch what it brings, unless by {@link Pool.watchHolder}.
	 *
	 * @param hasLooked whoever calls it has looked who this process is in this very turn, as `tryAcquire()` does
	 */
	request(hasLooked = false): AcquireRequest<R> {
		if (!hasLooked) this.#look();
		let waiter: Waiter<R> | undefined;
		const join = (): Promise<R> => {
			waiter = this.#join(0);
			return waiter.promise;
		};
		const promise = acquireChannel.hasSubscribers ? acquireChannel.tracePromise(join, { pool: this }) : join();
		return {
			promise,
			abandon: (reason) => {
				if (waiter?.state === "pending") this.#giveUp(waiter, "aborted", reason);
			},
		};
	}

	/**
	 * An idle connection that can be handed out at once, without anything to wait for; undefined when there is none, or somebody
	 * waits already. `leakThresholdMillis` does not watch it, unless by {@link Pool.watchHolder}.
	 */
	tryAcquire(): R | undefined {
		this.#look();
		return acquireChannel.hasSubscribers ? undefined : this.#takeIdle();
	}

	/**
	 * Gives a connection back. One that has ended meanwhile, or was inherited, is none of the pool's business any more:
	 * releasing it changes nothing.
	 *
	 * @throws ReleaseError (ERR_FORKSAFE_RELEASE) when it is in the pool already, or was never handed out by it
	 */
	release(resource: R, options?: ReleaseOptions): void {
		const last = this.#lastTaken;
		const entry = last?.resource === resource ? last : this.#entryOf.get(resource);
		if (
			entry?.state === "used" &&
			this.#leakWatch === undefined &&
			this.#waiters.size === 0 &&
			options === undefined &&
			!entry.isRetired &&
			this.#state === "open" &&
			this.#driver.isAlive(resource)
		) {
			// Nothing is written and nobody is served: this needs no look at the process.
			this.#placeReleased(entry);
		} else {
			this.#releaseCarefully(entry, options);
		}
		if (releaseChannel.hasSubscribers) releaseChannel.publish({ pool: this, resource });
	}

	/**
	 * For who hands on what {@link Pool.request} has brought: from now on `resource` is held by `holder`, whose stack is
	 * reported when it does not come back within `leakThresholdMillis`.
	 */
	watchHolder(resource: R, holder: Error): void {
		const entry = this.#entryOf.get(resource);
		if (entry?.state === "used") this.#leakWatch?.begin(entry, holder);
	}

	/**
	 * Acquires a connection for the time of `work` and releases it, whatever becomes of `work`.
	 *
	 * @throws what `acquire` and `work` throw
	 */
	async use<T>(work: (resource: R) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
		const resource = await this.acquire(options);
		try {
			return await work(resource);
		} finally {
			this.release(resource);
		}
	}

	/**
	 * Like {@link Pool.acquire}, but what is released is the lease: by a second release nobody can lose a connection that
	 * was handed to them meanwhile.
	 *
	 * @throws what `acquire` throws
	 */
	async lease(options?: AcquireOptions): Promise<Lease<R>> {
		return new Lease(await this.acquire(options), this);
	}

	/**
	 * Replaces every connection, softly: those that are idle are ended now, those in use when they come back. For a
	 * password that was rotated, or a server that is no longer the primary.
	 *
	 * @param from the connection that has told: ten that tell of one shutdown evict once, not those opened since
	 */
	evict(from?: R): void {
		this.#look();
		if (from !== undefined) {
			const entry = this.#entryOf.get(from);
			if (entry?.generation !== this.#generation || entry.evictions !== this.#evictions) return;
		}
		this.#evictions++;
		for (const entry of this.#entries) entry.retire();
		this.#destroyIdle();
	}

	/**
	 * For drivers that learn that a connection is broken: ended at once if it is idle, else when it comes back.
	 *
	 * @returns whether it was idle
	 */
	invalidate(resource: R): boolean {
		this.#look();
		const entry = this.#entryOf.get(resource);
		if (entry === undefined) return false;
		entry.retire();
		if (entry.state !== "idle") return false;
		this.#idle.splice(this.#idle.indexOf(entry), 1);
		this.#destroy(entry);
		return true;
	}

	/**
	 * The maintenance tick, which runs by itself: looks who this process is, and ends what is idle or alive too long. It
	 * stops when there is nothing left to maintain; the next connect starts it again.
	 */
	maintain(): void {
		this.#stopMaintenance();
		if (this.#looks) inspectProcess();
		this.#look();
		if (this.#entries.size === 0 && !this.#keepsMin) return;
		this.#startMaintenance();
		this.#noteUsed();
		this.#reportLeaks();
		this.#retireAged();
		this.#destroyIdle();
		this.#replaceLost();
	}

	/**
	 * For adapters that wait for something of their own: calls `action` after `millis` in which this process ran, as the pool's
	 * own deadlines do, and never in a copy of it. 0: never.
	 *
	 * @returns a function that stops it
	 */
	startDeadline(millis: number, action: () => void): () => void {
		return this.#deadlines.start(millis, action);
	}

	/** Like {@link Pool.startDeadline}, for who waits for a connection: it stands still while the pool is suspended. */
	startWaitDeadline(millis: number, action: () => void): () => void {
		return this.#waitDeadlines.start(millis, action);
	}

	/** What the pool holds at this moment. */
	stats(): PoolStats {
		this.#look();
		return this.#count();
	}

	#count(): PoolStats {
		const connecting = this.#connecting;
		const validating = this.#validating;
		const destroying = this.#destroying;
		const idle = this.#idle.length;
		const total = this.#entries.size;
		return {
			state: this.#state,
			generation: this.#generation,
			min: this.options.min,
			max: this.options.max,
			connecting,
			idle,
			validating,
			used: total - connecting - idle - validating - destroying,
			destroying,
			total,
			pending: this.#waiters.size,
		};
	}

	/**
	 * Ends every connection and opens none until {@link Pool.resume}, so that the process can be stopped, frozen or copied without
	 * leaving a session behind: those in use finish, connects in progress are waited for, the rest is ended at once. Resolves when
	 * the last one has gone. A process that was copied while its pool was suspended resumes it for itself. A pool that is ended
	 * already is waited for.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION); ResumedError (ERR_FORKSAFE_RESUMED) when `resume()` was called before that
	 * @example
	 * ```ts
	 * await pool.suspend({ deadlineMillis: 2_000 });
	 * await checkpoint();
	 * pool.resume();
	 * ```
	 */
	async suspend(options: SuspendOptions = {}): Promise<void> {
		checkSuspendOptions(options);
		const { deadlineMillis = DEFAULT_DEADLINE_MILLIS, acquires = "wait" } = options;
		this.#look();
		if (this.#state === "open") {
			this.#state = "suspended";
			this.#emptied = Promise.withResolvers();
			this.#standstill.suspend();
			this.#stopPaceTimer();
			this.#endIdle();
			this.#withdraw(this.#awaitingPermits);
		}
		if (this.#state === "suspended") {
			this.#rejectsAcquires = acquires === "reject";
			if (this.#rejectsAcquires) this.#rejectAll(() => new PoolSuspendedError());
		}
		this.#settleIfEmpty();
		const stopDeadline = this.#deadlines.start(deadlineMillis, () => {
			this.#giveUpConnects(new PoolSuspendedError());
			this.#destroyUsed();
		});
		try {
			await (this.#state === "suspended" ? this.#emptied : this.#closed)?.promise;
		} finally {
			stopDeadline();
		}
	}

	/** Opens a pool that is suspended. It connects when somebody needs a connection, those first who have waited. */
	resume(): void {
		this.#look();
		if (this.#state !== "suspended") return;
		this.#state = "open";
		this.#emptied?.reject(new ResumedError(this.#entries.size));
		this.#pace.reset();
		this.#standstill.resume();
		this.#serve();
	}

	/**
	 * Hands out nothing more, rejects who waits, lets connections in use finish, then ends them all. Resolves when the
	 * last has gone. May be called again, and by every process that holds the pool.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION)
	 */
	async drain(options: DrainOptions = {}): Promise<void> {
		rejectUnknownOptions(options, ["deadlineMillis"]);
		const deadlineMillis = options.deadlineMillis ?? DEFAULT_DEADLINE_MILLIS;
		checkDuration("deadlineMillis", deadlineMillis);
		this.#stopServing();
		this.#settleIfEmpty();
		if (this.#state === "draining") {
			this.#stopDrainDeadline();
			this.#stopDrainDeadline = this.#deadlines.start(deadlineMillis, () => this.#destroyUsed());
		}
		return this.#closed.promise;
	}

	/** Like {@link Pool.drain}, but ends connections in use at once. */
	async close(): Promise<void> {
		this.#stopServing();
		this.#destroyUsed();
		this.#settleIfEmpty();
		return this.#closed.promise;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.drain();
	}

	#acquire(options: AcquireOptions | undefined): Promise<R> {
		this.#look();
		if (options !== undefined) return this.#acquireWith(options);
		const resource = this.#takeIdle();
		return resource === undefined ? this.#wait(this.options.acquireTimeoutMillis).promise : Promise.resolve(resource);
	}

	#takeIdle(): R | undefined {
		if (this.#waiters.size > 0) return undefined;
		const entry = this.#idle.at(-1);
		if (entry === undefined || !this.#isFresh(entry) || !this.#driver.isAlive(entry.resource as R)) return undefined;
		this.#idle.pop();
		this.#driver.ref?.(entry.resource as R);
		return this.#take(entry);
	}

	#acquireWith(options: AcquireOptions): Promise<R> {
		try {
			checkAcquireOptions(options);
		} catch (error) {
			return Promise.reject(error);
		}
		const { signal, timeoutMillis = this.options.acquireTimeoutMillis } = options;
		if (signal?.aborted) return Promise.reject(signal.reason);
		const waiter = this.#wait(timeoutMillis);
		if (signal === undefined || waiter.state !== "pending") return waiter.promise;
		const onAbort = (): void => this.#giveUp(waiter, "aborted", signal.reason);
		signal.addEventListener("abort", onAbort, { once: true });
		const { stopWatching } = waiter;
		waiter.stopWatching = () => {
			stopWatching?.();
			signal.removeEventListener("abort", onAbort);
		};
		return waiter.promise;
	}

	#acquireWatched(options: AcquireOptions | undefined): Promise<R> {
		const watch = this.#leakWatch;
		const acquired = acquireChannel.hasSubscribers
			? acquireChannel.tracePromise(() => this.#acquire(options), { pool: this })
			: this.#acquire(options);
		if (watch === undefined) return acquired;
		const acquirer = stackAbove(this.acquire);
		// The lease begins before whoever asked goes on: this handler stands before theirs.
		acquired.then(
			(resource) => watch.begin(this.#entryOf.get(resource) as Entry<R>, acquirer),
			() => {},
		);
		return acquired;
	}

	/** Starts afresh if the process has changed. */
	#look(): void {
		const generation = this.#looks ? currentGeneration() : knownGeneration();
		if (generation === this.#generation) return;
		// A holder that was told before this pool is asking: its own turn comes right after.
		const change = lastProcessChange();
		if (change !== undefined) this.#startAfresh(change);
	}

	#wait(timeoutMillis: number): Waiter<R> {
		const waiter = this.#join(timeoutMillis);
		if (waiter.state !== "pending" || timeoutMillis === 0) return waiter;
		if (timeoutMillis === this.options.acquireTimeoutMillis) this.#waitDeadline.joined(waiter);
		else waiter.stopWatching = this.#waitDeadlines.start(timeoutMillis, () => this.#timedOut(waiter));
		return waiter;
	}

	/** Why nobody may wait; undefined when they may. */
	#refusal(state: Exclude<PoolState, "open">): Error | undefined {
		if (state !== "suspended") return new PoolClosedError(state);
		return this.#rejectsAcquires ? new PoolSuspendedError() : undefined;
	}

	/** Stands in line; whoever can be served or has to be rejected is so at once. */
	#join(timeoutMillis: number): Waiter<R> {
		const waiter = new Waiter<R>(this.#clock.now(), timeoutMillis);
		if (this.#state !== "open") {
			const refusal = this.#refusal(this.#state);
			if (refusal !== undefined) {
				waiter.fail("rejected", refusal);
				return waiter;
			}
		}
		this.#waiters.push(waiter);
		this.#serve();
		const { max, maxPending } = this.options;
		const isTooMany = maxPending > 0 && this.#unserved() - (max - this.#entries.size) > maxPending;
		if (isTooMany && waiter.state === "pending") {
			this.#giveUp(waiter, "rejected", new QueueFullError(maxPending, this.#count()));
		}
		return waiter;
	}

	#timedOut(waiter: Waiter<R>): void {
		this.#endOverdueConnects();
		if (waiter.state !== "pending") return;
		const waited = this.#clock.now() - waiter.since;
		const { lastFailure } = this.#pace;
		const make = (): Error => new AcquireTimeoutError(this.#phase(), waiter.timeoutMillis, waited, this.#count(), lastFailure);
		this.#giveUp(waiter, "timed out", withoutStack(make));
	}

	#giveUp(waiter: Waiter<R>, state: "timed out" | "aborted" | "rejected", reason: unknown): void {
		this.#waiters.remove(waiter);
		this.#left();
		waiter.fail(state, reason);
	}

	/** Takes out who has waited longest. */
	#nextWaiter(): Waiter<R> | undefined {
		const waiter = this.#waiters.shift();
		this.#left();
		return waiter;
	}

	/** One less waits. */
	#left(): void {
		if (this.#waiters.size === 0) this.#waitDeadline.stop();
		if (this.#awaitingPermits > 0) this.#withdraw(-this.#unserved());
	}

	#phase(): AcquirePhase {
		if (this.#awaitingPermits > 0 && this.#awaitingPermits === this.#connecting) return "permit";
		if (this.#connecting > 0 || this.#pace.lastFailure !== undefined) return "connect";
		return this.#validating > 0 ? "validate" : "wait";
	}

	/** How many wait without a connection being on its way for them. */
	#unserved(): number {
		return this.#waiters.size - this.#connecting - this.#validating;
	}

	/** Gives idle connections to waiters, and opens as many as are still missing and allowed. */
	#serve(): void {
		if (this.#state !== "open") return;
		while (this.#waiters.size > this.#validating) {
			const entry = this.#idle.pop();
			if (entry === undefined) break;
			this.#offer(entry);
		}
		while (this.#unserved() > 0 && this.#entries.size < this.options.max) {
			const millis = this.#pace.millisLeft(this.#connecting);
			if (millis > 0) {
				this.#serveIn(millis);
				return;
			}
			this.#connect();
		}
	}

	/** @param millis Infinity: nothing need be done, because a connect that ends serves anew */
	#serveIn(millis: number): void {
		if (this.#paceTimer !== undefined || millis === Number.POSITIVE_INFINITY) return;
		this.#paceTimer = this.#clock.setTimeout(() => {
			this.#paceTimer = undefined;
			this.#look();
			this.#serve();
		}, millis);
	}

	#stopPaceTimer(): void {
		if (this.#paceTimer !== undefined) this.#clock.clearTimeout(this.#paceTimer);
		this.#paceTimer = undefined;
	}

	/** An idle connection, out of the stack, for the first waiter: if it is still good. */
	#offer(entry: Entry<R>): void {
		const resource = entry.resource as R;
		if (entry.isRetired || !this.#driver.isAlive(resource)) {
			this.#destroy(entry);
			return;
		}
		this.#driver.ref?.(resource);
		if (this.#isFresh(entry)) this.#grant(entry);
		else this.#check(entry, resource);
	}

	/** Whether it came back so short a time ago that it need not be looked at. If so, it is being handed out now. */
	#isFresh(entry: Entry<R>): boolean {
		if (!this.#validates) return true;
		const now = this.#clock.wallNow();
		const idleMillis = now - entry.idleFrom;
		if (idleMillis >= FRESH_MILLIS || idleMillis < 0 || entry.idleSince !== 0) return false;
		entry.idleFrom = now;
		return true;
	}

	/** What is in use is not idle: of that time, one tick at most is counted as such. */
	#noteUsed(): void {
		const now = this.#clock.wallNow();
		for (const entry of this.#entries) if (entry.state === "used") entry.idleFrom = now;
	}

	/** Whether it has been idle for so long, by either clock, that the server has to be asked. */
	#isDoubtful(entry: Entry<R>): boolean {
		const { validateAfterIdleMillis } = this.options;
		if (validateAfterIdleMillis === 0) return false;
		const byWall = this.#clock.wallNow() - entry.idleFrom;
		const byTicks = entry.idleSince === 0 ? 0 : this.#clock.now() - entry.idleSince;
		return byWall < 0 || Math.max(byWall, byTicks) > validateAfterIdleMillis;
	}

	#grant(entry: Entry<R>): void {
		const waiter = this.#nextWaiter();
		if (waiter === undefined) throw new Error("bug: a connection was granted to nobody");
		waiter.grant(this.#take(entry));
	}

	#take(entry: Entry<R>): R {
		const { maxUses } = this.options;
		entry.moveTo("used");
		if (++entry.uses === maxUses) entry.isRetired = true;
		this.#lastTaken = entry;
		return entry.resource as R;
	}

	/** To the first waiter, or to the idle ones. */
	#place(entry: Entry<R>): void {
		this.#move(entry, "idle");
		if (this.#waiters.size > 0) {
			this.#grant(entry);
		} else if (entry.isRetired && this.#isToEnd(entry)) {
			this.#destroy(entry); // evicted while it was being opened
		} else {
			this.#driver.unref?.(entry.resource as R);
			this.#idle.push(entry);
		}
	}

	#placeReleased(entry: Entry<R>): void {
		entry.idleSince = 0;
		this.#place(entry);
	}

	#releaseCarefully(entry: Entry<R> | undefined, options: ReleaseOptions | undefined): void {
		if (options !== undefined) rejectUnknownOptions(options, ["destroy"]);
		this.#look();
		if (entry === undefined) throw new ReleaseError("release of a connection that this pool has never handed out");
		// Whoever holds it next may need time to be named (watchHolder).
		this.#leakWatch?.end(entry);
		switch (entry.state) {
			case "used":
				break;
			case "idle":
			case "validating":
				throw new ReleaseError("release of a connection that has already been released to the pool");
			default:
				return;
		}
		const isUsable = options?.destroy !== true && this.#state === "open" && this.#driver.isAlive(entry.resource as R);
		if (!isUsable || this.#isToEnd(entry)) {
			this.#destroy(entry);
			this.#serve();
		} else {
			this.#placeReleased(entry);
		}
	}

	#connect(): void {
		const now = this.#clock.now();
		const entry = new Entry<R>(this.#generation, this.#evictions, now, this.#lostTime.totalAt(now), this.#expiry(now));
		// While a snapshot is built, nothing is idle: what comes back is ended.
		entry.isRetired = isBuildingSnapshot();
		this.#entries.add(entry);
		this.#connecting++;
		this.#pace.began(this.#entries.size === 1);
		this.#keepsMin = this.options.min > 0 && !isBuildingSnapshot();
		this.#startMaintenance();
		this.#takePermit(entry);
	}

	#takePermit(entry: Entry<R>): void {
		let permit: Promise<void> | void;
		try {
			permit = this.options.permits.acquire(entry.abort.signal);
		} catch (error) {
			permit = Promise.reject(error);
		}
		if (permit === undefined) {
			this.#open(entry);
			return;
		}
		entry.awaitsPermit = true;
		this.#awaitingPermits++;
		const came = (): void => {
			if (this.#stopAwaiting(entry)) {
				entry.beganAt = this.#clock.now();
				entry.lostBefore = this.#lostTime.totalAt(entry.beganAt);
				this.#open(entry);
			} else if (entry.generation === this.#generation) {
				this.options.permits.release(); // in vain
			}
		};
		permit.then(came, (error: unknown) => {
			if (this.#stopAwaiting(entry)) this.#connectFailed(entry, error);
		});
	}

	/** @returns whether its permit was waited for, until now and in this process */
	#stopAwaiting(entry: Entry<R>): boolean {
		this.#look();
		if (entry.generation !== this.#generation || !entry.awaitsPermit) return false;
		entry.awaitsPermit = false;
		this.#awaitingPermits--;
		return true;
	}

	/** Gives up so many of the requests for permits, those that were made last first. */
	#withdraw(count: number): void {
		let left = Math.min(count, this.#awaitingPermits);
		if (left <= 0) return;
		for (const entry of [...this.#entries].reverse()) {
			if (left === 0) return;
			if (!entry.awaitsPermit || !this.#stopAwaiting(entry)) continue;
			left--;
			this.#move(entry, "destroying");
			entry.abort.abort(NOT_NEEDED);
			this.#gone(entry);
		}
	}

	/** The connection has ended for good, or was never opened. Not before: a session whose end takes long is still one. */
	#returnPermit(entry: Entry<R>): void {
		if (!entry.hasPermit || entry.generation !== this.#generation) return;
		entry.hasPermit = false;
		guarded(() => this.options.permits.release());
	}

	/** Others need permits. Idle connections are ended now, if they may be; of the others, those that come back first. */
	#giveBack(): void {
		this.#look();
		if (this.#state !== "open") return;
		const now = this.#clock.now();
		const isWanted = ({ idleSince }: Entry<R>): boolean =>
			this.options.permits.isWanted?.(idleSince === 0 ? 0 : now - idleSince) === true;
		const ended = this.#idle.filter(isWanted);
		this.#idle = this.#idle.filter((entry) => !ended.includes(entry));
		for (const entry of this.#entries) if (entry.state !== "idle" && entry.state !== "destroying") entry.recall();
		for (const entry of ended) if (entry.state === "idle") this.#destroy(entry);
	}

	/** Of one that comes back and is retired: whether it really is to be ended. */
	#isToEnd(entry: Entry<R>): boolean {
		if (entry.isRecalled) {
			entry.isRecalled = false;
			const { maxUses, permits } = this.options;
			const isUsedUp = maxUses > 0 && entry.uses >= maxUses;
			entry.isRetired = isUsedUp || permits.isWanted?.(0) === true;
		}
		return entry.isRetired;
	}

	#open(entry: Entry<R>): void {
		entry.hasPermit = true;
		const { connectTimeoutMillis } = this.options;
		entry.stopDeadline = this.#deadlines.start(connectTimeoutMillis, () => this.#connectTimedOut(entry));
		const connect = async (): Promise<R> => this.#driver.connect(entry.abort.signal);
		const connecting = createChannel.hasSubscribers ? createChannel.tracePromise(connect, { pool: this }) : connect();
		connecting.then(
			(resource) => this.#connected(entry, resource),
			(error: unknown) => this.#connectFailed(entry, error),
		);
	}

	#expiry(now: number): number {
		const { maxLifetimeMillis, random } = this.options;
		if (maxLifetimeMillis === 0) return Number.POSITIVE_INFINITY;
		return now + maxLifetimeMillis * (1 - LIFETIME_JITTER * random());
	}

	#connectTimedOut(entry: Entry<R>): void {
		const { connectTimeoutMillis } = this.options;
		const cause = new Error(`no connection was established within ${connectTimeoutMillis} ms`);
		const error = new ConnectError(cause, true);
		this.#move(entry, "destroying");
		// Told are those who have waited for as long as a connect may take. Who came later, when whoever had caused this connect
		// may have given up, waits for the next one.
		const now = this.#clock.now();
		for (let isFirst = true; this.#state === "open" && this.#unserved() > 0; isFirst = false) {
			const waiter = this.#waiters.first;
			if (waiter === undefined) break;
			const waited = now - waiter.since;
			const isDue = waiter.timeoutMillis > 0 && waited >= waiter.timeoutMillis - 1; // and says so itself
			if (waited < NEARLY * connectTimeoutMillis - 1 || (isDue && !isFirst)) break;
			this.#failFirst(isFirst ? error : new ConnectError(cause, true));
		}
		this.#giveUpConnect(entry, cause);
		this.#serve();
		this.emit("connectError", error);
	}

	/** A connect whose time is up in this very moment, too, speaks first: that is what those have waited for whom it is. */
	#endOverdueConnects(): void {
		const { connectTimeoutMillis } = this.options;
		if (this.#connecting === 0 || connectTimeoutMillis === 0) return;
		const now = this.#clock.now();
		const lost = this.#lostTime.totalAt(now);
		for (const entry of this.#entries) {
			const millis = now - entry.beganAt - (lost - entry.lostBefore);
			if (entry.state === "connecting" && !entry.awaitsPermit && millis >= connectTimeoutMillis) this.#connectTimedOut(entry);
		}
	}

	/** It counts until the driver has given the socket up. */
	#giveUpConnect(entry: Entry<R>, error: Error): void {
		entry.stopDeadline();
		entry.stopDeadline = this.#deadlines.start(this.options.destroyTimeoutMillis, () => this.#gone(entry));
		entry.abort.abort(error);
	}

	#connected(entry: Entry<R>, resource: R): void {
		this.#look();
		if (this.#entryOf.has(resource)) {
			this.#connectFailed(entry, new Error("bug: the driver returned the same connection twice"));
			return;
		}
		this.#entryOf.set(resource, entry);
		if (entry.generation !== this.#generation) {
			this.#forget(resource, lastProcessChange() as ProcessChange);
			return;
		}
		entry.resource = resource;
		switch (entry.state) {
			case "connecting":
				entry.stopDeadline();
				this.#hasConnected = true;
				this.#pace.reset();
				this.#stopPaceTimer();
				if (this.#state === "suspended") {
					this.#destroy(entry);
					break;
				}
				entry.idleFrom = this.#clock.wallNow();
				this.#place(entry);
				this.#serve();
				this.emit("connect", resource);
				break;
			case "destroying": // its time was up, or the pool closes
				this.#destroy(entry);
				break;
			default: // given up so long ago that it does not count any more
				this.#endPolitely(resource).then(
					() => this.#endedLate(entry),
					() => this.#endedLate(entry),
				);
		}
	}

	#endedLate(entry: Entry<R>): void {
		this.#look();
		this.#returnPermit(entry);
	}

	#connectFailed(entry: Entry<R>, cause: unknown): void {
		this.#look();
		this.#returnPermit(entry);
		if (entry.state === "destroying") {
			this.#gone(entry);
		} else if (entry.state === "connecting") {
			this.#move(entry, "destroying");
			const error = new ConnectError(cause);
			if (this.#isTransient(cause)) {
				this.#pace.failed(error, entry.beganAt);
			} else {
				this.#keepsMin = false;
				// Before its place is free: else the waiter would be given another connect to wait for, and never hear of this one.
				this.#failFirst(error);
			}
			this.#gone(entry);
			this.emit("connectError", error);
		}
	}

	#isTransient(cause: unknown): boolean {
		let isTransient = false;
		guarded(() => {
			isTransient = this.#driver.isTransient?.(cause, this.#hasConnected) === true;
		});
		return isTransient;
	}

	/** A connect that fails takes the first waiter with it, unless enough others are on their way, or it waits for `resume()`. */
	#failFirst(error: ConnectError): void {
		if (this.#state === "open" && this.#unserved() > 0) this.#nextWaiter()?.fail("rejected", error);
	}

	/**
	 * Two turns of the event loop bring what the kernel has already heard of the connection (that the server has ended it, that
	 * it was reset); after a longer time the server is asked.
	 */
	#check(entry: Entry<R>, resource: R): void {
		this.#move(entry, "validating");
		setImmediate(() => {
			setImmediate(() => {
				this.#look();
				if (entry.state !== "validating") return;
				if (!entry.isRetired && this.#isDoubtful(entry) && this.#driver.isAlive(resource)) this.#validate(entry, resource);
				else this.#judge(entry, true);
			});
		});
	}

	#validate(entry: Entry<R>, resource: R): void {
		// The server is not to be asked on a connection that is another machine's; that takes a moment to find out.
		if (this.#looks) inspectProcess();
		if (entry.state !== "validating") return;
		const noAnswer = new AbortController();
		entry.stopDeadline = this.#deadlines.start(this.options.validateTimeoutMillis, () => {
			if (entry.state !== "validating") return;
			noAnswer.abort(new Error(`no answer to a validation within ${this.options.validateTimeoutMillis} ms`));
			// What has been idle as long is not heard of either, and to ask one after the other takes too long.
			this.evict(resource);
			this.#judge(entry, false);
		});
		const validate = async (): Promise<boolean> => (await this.#driver.validate?.(resource, noAnswer.signal)) === true;
		const onAnswer = (isValid: boolean): void => {
			this.#look();
			if (entry.state !== "validating") return;
			if (isValid) entry.idleFrom = this.#clock.wallNow();
			this.#judge(entry, isValid);
		};
		validate().then(onAnswer, () => onAnswer(false));
	}

	#judge(entry: Entry<R>, isValid: boolean): void {
		entry.stopDeadline();
		if (isValid && !entry.isRetired && this.#driver.isAlive(entry.resource as R)) {
			if (this.#waiters.size > 0) entry.idleFrom = this.#clock.wallNow(); // it is handed out
			entry.isRetired = entry.isRecalled;
			this.#place(entry);
		} else {
			this.#destroy(entry);
			this.#serve();
		}
	}

	/** Ends a connection of ours. It counts until it has gone. */
	#destroy(entry: Entry<R>): void {
		entry.stopDeadline();
		if (entry.state !== "destroying") this.#move(entry, "destroying");
		const resource = entry.resource as R;
		// A snapshot is not written before it has gone, unless that takes too long.
		if (isBuildingSnapshot()) this.#driver.ref?.(resource);
		const finish = (error?: unknown): void => {
			this.#look();
			if (entry.state !== "destroying") return;
			this.#gone(entry);
			if (destroyChannel.hasSubscribers) destroyChannel.publish({ pool: this, resource, error });
			this.emit("destroy", resource, error);
		};
		const { destroyTimeoutMillis } = this.options;
		entry.stopDeadline = this.#deadlines.start(destroyTimeoutMillis, () => {
			this.#lingering.add(resource);
			if (isBuildingSnapshot()) this.#driver.unref?.(resource);
			finish(new Error(`the connection did not end within ${destroyTimeoutMillis} ms`));
		});
		const ended = (error?: unknown): void => {
			this.#lingering.delete(resource);
			this.#endedLate(entry);
			finish(error);
		};
		this.#endPolitely(resource).then(() => ended(), ended);
	}

	async #endPolitely(resource: R): Promise<void> {
		await this.#driver.destroy(resource);
	}

	/** Makes room for another one. */
	#gone(entry: Entry<R>): void {
		entry.stopDeadline();
		this.#move(entry, "gone");
		this.#entries.delete(entry);
		if (this.#lastTaken === entry) this.#lastTaken = undefined;
		this.#serve();
		this.#settleIfEmpty();
	}

	#move(entry: Entry<R>, next: EntryState): void {
		this.#recount(entry.state, -1);
		entry.moveTo(next);
		this.#recount(next, 1);
	}

	#recount(state: EntryState, change: 1 | -1): void {
		if (state === "connecting") this.#connecting += change;
		else if (state === "validating") this.#validating += change;
		else if (state === "destroying") this.#destroying += change;
	}

	#stopServing(): void {
		this.#look();
		if (this.#state === "draining" || this.#state === "closed") return;
		this.#state = "draining";
		this.#stopPaceTimer();
		this.#rejectAll(() => new PoolClosedError("draining"));
		this.#endIdle();
		this.#giveUpConnects(new PoolClosedError("draining"));
	}

	#rejectAll(makeReason: () => Error): void {
		for (let waiter = this.#nextWaiter(); waiter !== undefined; waiter = this.#nextWaiter()) {
			waiter.fail("rejected", makeReason());
		}
	}

	#endIdle(): void {
		this.#idle = [];
		for (const entry of this.#entries) if (entry.state === "idle" || entry.state === "validating") this.#destroy(entry);
	}

	#giveUpConnects(reason: Error): void {
		this.#look();
		this.#withdraw(this.#awaitingPermits);
		for (const entry of this.#entries) {
			if (entry.state !== "connecting") continue;
			this.#move(entry, "destroying");
			this.#giveUpConnect(entry, reason);
		}
	}

	#destroyUsed(): void {
		this.#look();
		for (const entry of this.#entries) if (entry.state === "used") this.#destroy(entry);
	}

	/** Who waits for the last connection to go is told so. */
	#settleIfEmpty(): void {
		if (this.#entries.size > 0) return;
		if (this.#state !== "open") this.#emptied?.resolve();
		if (this.#state !== "draining") return;
		this.#state = "closed";
		this.#stopDrainDeadline();
		this.#stopMaintenance();
		this.#unregister();
		this.#stopListening();
		this.#closed.resolve();
		if (closeChannel.hasSubscribers) closeChannel.publish({ pool: this });
		this.emit("close");
	}

	#startMaintenance(): void {
		if (this.#maintenance !== undefined || isBuildingSnapshot()) return;
		const { idleTimeoutMillis, maintenanceIntervalMillis } = this.options;
		const interval =
			idleTimeoutMillis === 0
				? maintenanceIntervalMillis
				: Math.min(maintenanceIntervalMillis, Math.max(idleTimeoutMillis / 4, SHORTEST_MAINTENANCE_INTERVAL_MILLIS));
		this.#lostTime.expectTick(interval);
		this.#maintenance = this.#clock.setTimeout(() => this.maintain(), interval);
		this.#maintenance.unref();
	}

	#stopMaintenance(): void {
		if (this.#maintenance !== undefined) this.#clock.clearTimeout(this.#maintenance);
		this.#maintenance = undefined;
		this.#lostTime.expectTick();
	}

	#retireAged(): void {
		if (this.options.maxLifetimeMillis === 0) return;
		const now = this.#clock.now();
		for (const entry of this.#entries) if (now >= entry.expiresAt) entry.retire();
	}

	#reportLeaks(): void {
		for (const leak of this.#leakWatch?.find() ?? []) {
			const { name, log } = this.options;
			const held = Math.round(leak.heldMillis);
			guarded(() => log(`forksafe: ${name}: a connection has been held for ${held} ms; acquired\n${leak.stack}`));
			guarded(() => this.emit("leak", leak));
			if (leakChannel.hasSubscribers) leakChannel.publish({ pool: this, ...leak });
		}
	}

	/** What is in use, for a snapshot that is to be written. */
	#leases(): OpenConnection[] {
		const used = [...this.#entries].filter(({ state }) => state === "used");
		return used.map((entry) => ({
			what: `${this.options.name}: a connection was not released; acquired`,
			stack: this.#leakWatch?.acquirerOf(entry) ?? "    (by whom is not known)",
		}));
	}

	/** Those at the bottom of the stack have been idle longest. */
	#destroyIdle(): void {
		const { idleTimeoutMillis, min } = this.options;
		const now = this.#clock.now();
		let surplus = this.#entries.size - this.#destroying - min;
		const kept: Entry<R>[] = [];
		const ended: Entry<R>[] = [];
		for (const entry of this.#idle) {
			if (entry.idleSince === 0) entry.idleSince = now;
			const isSurplus = idleTimeoutMillis > 0 && now - entry.idleSince >= idleTimeoutMillis && surplus > 0;
			if (isSurplus) surplus--;
			if (isSurplus || entry.isRetired) ended.push(entry);
			else kept.push(entry);
		}
		this.#idle = kept;
		// The driver is called, and may call back, or fork: the next one need not be idle any more.
		for (const entry of ended) if (entry.state === "idle") this.#destroy(entry);
	}

	/** One at a time, not in every tick, and not while connects are held back. */
	#replaceLost(): void {
		const lacks = this.#entries.size - this.#destroying < this.options.min && this.#entries.size < this.options.max;
		if (!lacks || !this.#keepsMin || this.#state !== "open" || this.#connecting > 0) return;
		if (this.options.random() < REPLACE_PROBABILITY && this.#pace.millisLeft(0) === 0) this.#connect();
	}

	/** Forgets everything inherited, in one go and without a byte written. */
	#startAfresh(change: ProcessChange): void {
		if (change.generation <= this.#generation) return;
		const inherited = this.#entries;
		this.#generation = change.generation;
		if (this.options.processWatch === "once") this.#looks = false;
		this.#entries = new Set();
		this.#lastTaken = undefined;
		this.#idle = [];
		this.#connecting = this.#validating = this.#destroying = this.#awaitingPermits = 0;
		this.#keepsMin = false;
		this.#pace.reset();
		this.#stopPaceTimer();
		this.#stopMaintenance();
		this.#leakWatch?.clear();
		if (this.options.leakThresholdMillis === 0) this.#leakWatch = undefined;
		this.#rejectAll(() => new ProcessChangedError(change));
		for (const entry of inherited) {
			entry.stopDeadline();
			entry.moveTo("discarded");
		}
		const lingering = [...this.#lingering];
		this.#lingering.clear();
		// From here on others are called, and may call back: nothing inherited is left in any place where they could find it.
		for (const entry of inherited) {
			if (entry.resource === undefined) guarded(() => entry.abort.abort(new InheritedConnectionError(change)));
			else this.#forget(entry.resource, change);
			if (discardChannel.hasSubscribers) discardChannel.publish({ pool: this, resource: entry.resource, change });
		}
		for (const resource of lingering) this.#forget(resource, change);
		// The application has ended or suspended this pool; that it was copied meanwhile does not open it again.
		this.#settleIfEmpty();
	}

	#forget(resource: R, change: ProcessChange): void {
		guarded(() => this.#driver.discard(resource, change));
		guarded(() => this.emit("discard", resource, change));
	}

	#announce(change: ProcessChange): void {
		const { name, log, onProcessChange } = this.options;
		const line =
			`forksafe: ${name} starts afresh: pid ${change.previousPid} -> ${change.pid} ` +
			`(${change.cause}, generation ${change.generation})`;
		guarded(() => log(line));
		guarded(() => onProcessChange(change));
		guarded(() => this.emit("processChange", change));
		if (processChangeChannel.hasSubscribers) processChangeChannel.publish({ pool: this, change });
	}
}

/** What is asked when others need permits. */
interface PermitHolder {
	giveBack(): void;
}

/**
 * Not in the constructor, where every closure would hold the pool; and no private static method: Node crashes when it starts from a
 * snapshot with a class that has one.
 */
function listenWeakly(permits: Permits, holder: PermitHolder): () => void {
	const reference = new WeakRef(holder);
	return permits.onWanted?.(() => reference.deref()?.giveBack()) ?? nothing;
}

/** @throws OptionError (ERR_FORKSAFE_OPTION), before anything waits */
function checkAcquireOptions(options: AcquireOptions): void {
	rejectUnknownOptions(options, ["signal", "timeoutMillis"]);
	const { signal, timeoutMillis } = options;
	if (timeoutMillis !== undefined) checkDuration("timeoutMillis", timeoutMillis);
	if (signal !== undefined && !(signal instanceof AbortSignal)) {
		throw new OptionError("signal", signal, "must be an AbortSignal");
	}
}

function nothing(): void {}
