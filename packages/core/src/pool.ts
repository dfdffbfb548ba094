/**
 * A pool of connections that belongs to one process at a time.
 *
 * Invariants, which the property tests assert:
 * - connecting + idle + validating + used + destroying never exceed `max`
 * - whoever waits, waits because nothing is idle, and `max` is reached or a connection is on its way for them
 * - a waiter is settled exactly once, in the order of arrival among those that are granted
 * - a connection ends exactly once: destroyed by the process that opened it, or discarded by every other
 * - every entry, waiter, timer and connect in progress belongs to the pool's generation; what belongs to an earlier one
 *   is `discarded` or settled, and whatever still arrives for it (a connect that ends, a release) changes nothing
 *
 * Pool: open -> draining -> closed. Entry and waiter: entry.ts, wait-queue.ts.
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
import type { Driver } from "./driver.ts";
import { Entry, type EntryState } from "./entry.ts";
import {
	type AcquirePhase,
	AcquireTimeoutError,
	ConnectError,
	InheritedConnectionError,
	OptionError,
	PoolClosedError,
	type PoolCounts,
	ProcessChangedError,
	QueueFullError,
	ReleaseError,
} from "./errors.ts";
import { guarded } from "./guarded.ts";
import { type Leak, LeakWatch } from "./leak-watch.ts";
import { LostTime } from "./lost-time.ts";
import {
	checkDuration,
	type PoolOptions,
	type ResolvedPoolOptions,
	rejectUnknownOptions,
	resolvePoolOptions,
} from "./options.ts";
import {
	type ConnectionHolder,
	currentGeneration,
	inspectProcess,
	knownGeneration,
	lastProcessChange,
	type ProcessChange,
	registerHolder,
} from "./process-identity.ts";
import { Waiter, WaitQueue } from "./wait-queue.ts";

/** `open` hands out connections; `draining` waits for those in use to come back; `closed` has none left. */
export type PoolState = "open" | "draining" | "closed";

/** How one acquire differs from the others. */
export interface AcquireOptions {
	/** Gives the acquire up: it leaves the queue at once and rejects with the signal's reason. The connect goes on for others. */
	signal?: AbortSignal;
	/** In place of `acquireTimeoutMillis`. 0: never. */
	timeoutMillis?: number;
}

/** How one release differs from the others. */
export interface ReleaseOptions {
	/** End the connection instead of keeping it. */
	destroy?: boolean;
}

/** How long to wait for connections in use. */
export interface DrainOptions {
	/** Then they are ended all the same. 0: wait for ever. @default 30000 */
	deadlineMillis?: number;
}

/** What a pool holds at this moment. */
export interface PoolStats extends PoolCounts {
	readonly state: PoolState;
	readonly generation: number;
	readonly min: number;
	readonly validating: number;
	readonly destroying: number;
	/** All connections, in whatever state. */
	readonly total: number;
}

/** Events of a pool, with the arguments of their listeners. */
export interface PoolEvents<R> {
	/** A connection was opened. */
	connect: [resource: R];
	/** A connection could not be opened. */
	connectError: [error: ConnectError];
	/** A connection of this process was ended; `error` says that it did not go politely. */
	destroy: [resource: R, error?: unknown];
	/** A connection is held for longer than `leakThresholdMillis`. */
	leak: [leak: Leak<R>];
	/** An inherited connection was forgotten. */
	discard: [resource: R, change: ProcessChange];
	/** The pool has started afresh in another process. */
	processChange: [change: ProcessChange];
	/** The last connection has gone, and there will be no other. */
	close: [];
}

const DEFAULT_DRAIN_DEADLINE_MILLIS = 30_000;
const SHORTEST_MAINTENANCE_INTERVAL_MILLIS = 10;
/** So much of its lifetime a connection may lose by chance. */
const LIFETIME_JITTER = 0.1;

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
	/** The connection used last is handed out first, so that those not needed can grow old. */
	#idle: Entry<R>[] = [];
	/** Those that do not count any more, because their time to end politely is over, and that the driver still ends. */
	readonly #lingering = new Set<R>();
	/** So many are in these states; idle and used follow from them, `#idle` and `#entries`. */
	#connecting = 0;
	#validating = 0;
	#destroying = 0;
	#state: PoolState = "open";
	#generation: number;
	#looks: boolean;
	readonly #lostTime: LostTime;
	readonly #leakWatch: LeakWatch<R> | undefined;
	/** How the registry reaches this pool. The registry holds it weakly, so the pool has to keep it. */
	readonly #holder: ConnectionHolder = {
		discardInherited: (change) => this.#startAfresh(change),
		announce: (change) => this.#announce(change),
	};
	readonly #unregister: () => void;
	#maintenance: Timer | undefined;
	#stopDrainDeadline: () => void = () => {};
	readonly #closed = Promise.withResolvers<void>();

	constructor(driver: Driver<R>, options?: PoolOptions) {
		super();
		this.options = resolvePoolOptions(options);
		this.#driver = driver;
		this.#clock = this.options.clock;
		this.#lostTime = new LostTime(this.#clock);
		const { leakThresholdMillis } = this.options;
		if (leakThresholdMillis > 0) this.#leakWatch = new LeakWatch(leakThresholdMillis, this.#clock);
		this.#looks = this.options.processWatch !== "off";
		this.#generation = this.#looks ? currentGeneration() : knownGeneration();
		this.#unregister = registerHolder(this.#holder);
	}

	/** `open`, `draining` or `closed`. */
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
	 * (ERR_FORKSAFE_OPTION), or the reason of the signal
	 */
	acquire(options?: AcquireOptions): Promise<R> {
		if (this.#leakWatch !== undefined || acquireChannel.hasSubscribers) return this.#acquireWatched(options);
		return this.#acquire(options);
	}

	/**
	 * Gives a connection back. One that has ended meanwhile, or was inherited, is none of the pool's business any more:
	 * releasing it changes nothing.
	 *
	 * @throws ReleaseError (ERR_FORKSAFE_RELEASE) when it is in the pool already, or was never handed out by it
	 */
	release(resource: R, options?: ReleaseOptions): void {
		const entry = this.#entryOf.get(resource);
		if (
			entry?.state === "used" &&
			this.#waiters.size === 0 &&
			options === undefined &&
			!entry.isRetired &&
			this.#state === "open" &&
			this.#driver.isAlive(resource)
		) {
			// Nothing is written and nobody is served: this needs no look at the process.
			this.#place(entry);
		} else {
			this.#releaseCarefully(entry, options);
		}
		if (releaseChannel.hasSubscribers) releaseChannel.publish({ pool: this, resource });
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
	 * Replaces every connection, softly: those that are idle are ended now, those in use when they come back. For a
	 * password that was rotated, or a server that is no longer the primary.
	 */
	evict(): void {
		this.#look();
		for (const entry of this.#entries) entry.isRetired = true;
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
		entry.isRetired = true;
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
		if (this.#entries.size === 0) return;
		this.#startMaintenance();
		this.#reportLeaks();
		this.#retireAged();
		this.#destroyIdle();
	}

	/** What the pool holds at this moment. */
	stats(): PoolStats {
		this.#look();
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
	 * Hands out nothing more, rejects who waits, lets connections in use finish, then ends them all. Resolves when the
	 * last has gone. May be called again, and by every process that holds the pool.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION)
	 */
	async drain(options: DrainOptions = {}): Promise<void> {
		rejectUnknownOptions(options, ["deadlineMillis"]);
		const deadlineMillis = options.deadlineMillis ?? DEFAULT_DRAIN_DEADLINE_MILLIS;
		checkDuration("deadlineMillis", deadlineMillis);
		this.#stopServing();
		this.#closeIfEmpty();
		if (this.#state === "draining") {
			this.#stopDrainDeadline();
			this.#stopDrainDeadline = this.#deadline(deadlineMillis, () => this.#destroyUsed());
		}
		return this.#closed.promise;
	}

	/** Like {@link Pool.drain}, but ends connections in use at once. */
	async close(): Promise<void> {
		this.#stopServing();
		this.#destroyUsed();
		this.#closeIfEmpty();
		return this.#closed.promise;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.drain();
	}

	#acquire(options: AcquireOptions | undefined): Promise<R> {
		this.#look();
		if (options === undefined && this.#waiters.size === 0 && this.#driver.validate === undefined) {
			const entry = this.#idle.at(-1);
			if (entry !== undefined && this.#driver.isAlive(entry.resource as R)) {
				this.#idle.pop();
				return Promise.resolve(this.#take(entry));
			}
		}
		return this.#wait(options ?? {});
	}

	#acquireWatched(options: AcquireOptions | undefined): Promise<R> {
		const watch = this.#leakWatch;
		const acquired = acquireChannel.hasSubscribers
			? acquireChannel.tracePromise(() => this.#acquire(options), { pool: this })
			: this.#acquire(options);
		if (watch === undefined) return acquired;
		const acquirer = new Error("acquired");
		Error.captureStackTrace(acquirer, this.acquire);
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

	#wait(options: AcquireOptions): Promise<R> {
		try {
			checkAcquireOptions(options);
		} catch (error) {
			return Promise.reject(error);
		}
		const { signal, timeoutMillis = this.options.acquireTimeoutMillis } = options;
		if (this.#state !== "open") return Promise.reject(new PoolClosedError(this.#state));
		if (signal?.aborted) return Promise.reject(signal.reason);
		const { maxPending } = this.options;
		const waiter = new Waiter<R>(this.#clock.now());
		this.#waiters.push(waiter);
		this.#serve();
		if (waiter.state !== "pending") return waiter.promise;
		if (maxPending > 0 && this.#unserved() > maxPending) {
			this.#giveUp(waiter, "rejected", new QueueFullError(maxPending, this.stats()));
			return waiter.promise;
		}

		const lostBefore = this.#lostTime.total;
		const timeOut = (): void => {
			const waited = this.#clock.now() - waiter.since;
			// While the process did not run, those that it waits for could not come back either.
			const left = timeoutMillis + this.#lostTime.total - lostBefore - waited;
			if (left >= 1) {
				stopDeadline = this.#deadline(left, timeOut);
				return;
			}
			this.#giveUp(waiter, "timed out", new AcquireTimeoutError(this.#phase(), timeoutMillis, waited, this.stats()));
		};
		let stopDeadline = this.#deadline(timeoutMillis, timeOut);
		const onAbort = (): void => this.#giveUp(waiter, "aborted", signal?.reason);
		signal?.addEventListener("abort", onAbort, { once: true });
		waiter.stopWatching = () => {
			stopDeadline();
			signal?.removeEventListener("abort", onAbort);
		};
		return waiter.promise;
	}

	#giveUp(waiter: Waiter<R>, state: "timed out" | "aborted" | "rejected", reason: unknown): void {
		this.#waiters.remove(waiter);
		waiter.fail(state, reason);
	}

	#phase(): AcquirePhase {
		if (this.#connecting > 0) return "connect";
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
		while (this.#unserved() > 0 && this.#entries.size < this.options.max) this.#connect();
	}

	/** An idle connection, out of the stack, for the first waiter: if it is still good. */
	#offer(entry: Entry<R>): void {
		const resource = entry.resource as R;
		if (entry.isRetired || !this.#driver.isAlive(resource)) this.#destroy(entry);
		else if (this.#driver.validate !== undefined) this.#validate(entry, resource);
		else this.#grant(entry);
	}

	#grant(entry: Entry<R>): void {
		const waiter = this.#waiters.shift();
		if (waiter === undefined) throw new Error("bug: a connection was granted to nobody");
		waiter.grant(this.#take(entry));
	}

	#take(entry: Entry<R>): R {
		const { maxUses } = this.options;
		entry.moveTo("used");
		if (++entry.uses === maxUses) entry.isRetired = true;
		return entry.resource as R;
	}

	/** To the first waiter, or to the idle ones. */
	#place(entry: Entry<R>): void {
		this.#move(entry, "idle");
		if (this.#waiters.size > 0) {
			this.#grant(entry);
		} else if (entry.isRetired) {
			this.#destroy(entry); // evicted while it was being opened
		} else {
			entry.idleSince = 0;
			this.#idle.push(entry);
		}
	}

	#releaseCarefully(entry: Entry<R> | undefined, options: ReleaseOptions = {}): void {
		rejectUnknownOptions(options, ["destroy"]);
		this.#look();
		if (entry === undefined) throw new ReleaseError("release of a connection that this pool has never handed out");
		switch (entry.state) {
			case "used":
				break;
			case "idle":
			case "validating":
				throw new ReleaseError("release of a connection that has already been released to the pool");
			default:
				return;
		}
		if (options.destroy === true || entry.isRetired || this.#state !== "open" || !this.#driver.isAlive(entry.resource as R)) {
			this.#destroy(entry);
			this.#serve();
		} else {
			this.#place(entry);
		}
	}

	#connect(): void {
		const entry = new Entry<R>(this.#generation, this.#expiry());
		this.#entries.add(entry);
		this.#connecting++;
		this.#startMaintenance();
		const { connectTimeoutMillis } = this.options;
		entry.stopDeadline = this.#deadline(connectTimeoutMillis, () => {
			const error = new Error(`no connection was established within ${connectTimeoutMillis} ms`);
			this.#move(entry, "destroying");
			const connectError = this.#failWaiter(error, true);
			this.#giveUpConnect(entry, error);
			this.#serve();
			this.emit("connectError", connectError);
		});
		const connect = async (): Promise<R> => this.#driver.connect(entry.abort.signal);
		const connecting = createChannel.hasSubscribers ? createChannel.tracePromise(connect, { pool: this }) : connect();
		connecting.then(
			(resource) => this.#connected(entry, resource),
			(error: unknown) => this.#connectFailed(entry, error),
		);
	}

	#expiry(): number {
		const { maxLifetimeMillis, random } = this.options;
		if (maxLifetimeMillis === 0) return Number.POSITIVE_INFINITY;
		return this.#clock.now() + maxLifetimeMillis * (1 - LIFETIME_JITTER * random());
	}

	/** It counts until the driver has given the socket up. */
	#giveUpConnect(entry: Entry<R>, error: Error): void {
		entry.stopDeadline();
		entry.stopDeadline = this.#deadline(this.options.destroyTimeoutMillis, () => this.#gone(entry));
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
				this.#place(entry);
				this.emit("connect", resource);
				break;
			case "destroying": // its time was up, or the pool closes
				this.#destroy(entry);
				break;
			default: // given up so long ago that it does not count any more
				this.#endPolitely(resource).catch(() => {});
		}
	}

	#connectFailed(entry: Entry<R>, cause: unknown): void {
		this.#look();
		if (entry.state === "destroying") {
			this.#gone(entry);
		} else if (entry.state === "connecting") {
			this.#move(entry, "destroying");
			// Before its place is free: else the waiter would be given another connect to wait for, and never hear of this one.
			const error = this.#failWaiter(cause);
			this.#gone(entry);
			this.emit("connectError", error);
		}
	}

	/** A connect that fails takes the first waiter with it, unless enough others are on their way. */
	#failWaiter(cause: unknown, isTimeout = false): ConnectError {
		const error = new ConnectError(cause, isTimeout);
		if (this.#unserved() > 0) this.#waiters.shift()?.fail("rejected", error);
		return error;
	}

	#validate(entry: Entry<R>, resource: R): void {
		this.#move(entry, "validating");
		const judge = (isValid: boolean): void => {
			this.#look();
			if (entry.state !== "validating") return;
			entry.stopDeadline();
			if (isValid && !entry.isRetired && this.#driver.isAlive(resource)) {
				this.#place(entry);
			} else {
				this.#destroy(entry);
				this.#serve();
			}
		};
		entry.stopDeadline = this.#deadline(this.options.validateTimeoutMillis, () => judge(false));
		const validate = async (): Promise<boolean> => (await this.#driver.validate?.(resource)) === true;
		validate().then(judge, () => judge(false));
	}

	/** Ends a connection of ours. It counts until it has gone. */
	#destroy(entry: Entry<R>): void {
		entry.stopDeadline();
		if (entry.state !== "destroying") this.#move(entry, "destroying");
		const resource = entry.resource as R;
		const finish = (error?: unknown): void => {
			this.#look();
			if (entry.state !== "destroying") return;
			this.#gone(entry);
			if (destroyChannel.hasSubscribers) destroyChannel.publish({ pool: this, resource, error });
			this.emit("destroy", resource, error);
		};
		const { destroyTimeoutMillis } = this.options;
		entry.stopDeadline = this.#deadline(destroyTimeoutMillis, () => {
			this.#lingering.add(resource);
			finish(new Error(`the connection did not end within ${destroyTimeoutMillis} ms`));
		});
		const ended = (error?: unknown): void => {
			this.#lingering.delete(resource);
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
		this.#serve();
		this.#closeIfEmpty();
	}

	#move(entry: Entry<R>, next: EntryState): void {
		this.#count(entry.state, -1);
		entry.moveTo(next);
		this.#count(next, 1);
	}

	#count(state: EntryState, change: 1 | -1): void {
		if (state === "connecting") this.#connecting += change;
		else if (state === "validating") this.#validating += change;
		else if (state === "destroying") this.#destroying += change;
	}

	#stopServing(): void {
		this.#look();
		if (this.#state !== "open") return;
		this.#state = "draining";
		for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
			waiter.fail("rejected", new PoolClosedError("draining"));
		}
		this.#idle = [];
		for (const entry of this.#entries) {
			if (entry.state === "idle" || entry.state === "validating") {
				this.#destroy(entry);
			} else if (entry.state === "connecting") {
				this.#move(entry, "destroying");
				this.#giveUpConnect(entry, new PoolClosedError("draining"));
			}
		}
	}

	#destroyUsed(): void {
		this.#look();
		for (const entry of this.#entries) if (entry.state === "used") this.#destroy(entry);
	}

	#closeIfEmpty(): void {
		if (this.#state !== "draining" || this.#entries.size > 0) return;
		this.#state = "closed";
		this.#stopDrainDeadline();
		this.#stopMaintenance();
		this.#unregister();
		this.#closed.resolve();
		if (closeChannel.hasSubscribers) closeChannel.publish({ pool: this });
		this.emit("close");
	}

	#startMaintenance(): void {
		if (this.#maintenance !== undefined) return;
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
		for (const entry of this.#entries) if (now >= entry.expiresAt) entry.isRetired = true;
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

	/** Runs `action` after `millis`, unless it is stopped before or the process changes. 0: never. */
	#deadline(millis: number, action: () => void): () => void {
		if (millis === 0) return () => {};
		const generation = this.#generation;
		const timer = this.#clock.setTimeout(() => {
			this.#look();
			if (generation === this.#generation) action();
		}, millis);
		return () => this.#clock.clearTimeout(timer);
	}

	/** Forgets everything inherited, in one go and without a byte written. */
	#startAfresh(change: ProcessChange): void {
		if (change.generation <= this.#generation) return;
		const inherited = this.#entries;
		this.#generation = change.generation;
		if (this.options.processWatch === "once") this.#looks = false;
		this.#entries = new Set();
		this.#idle = [];
		this.#connecting = this.#validating = this.#destroying = 0;
		this.#stopMaintenance();
		this.#leakWatch?.clear();
		for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
			waiter.fail("rejected", new ProcessChangedError(change));
		}
		for (const entry of inherited) {
			entry.stopDeadline();
			entry.moveTo("discarded");
		}
		const lingering = [...this.#lingering];
		this.#lingering.clear();
		// From here on others are called, and may call back: nothing inherited is left in any place where they could find it.
		for (const entry of inherited) {
			guarded(() => entry.abort.abort(new InheritedConnectionError(change)));
			if (entry.resource !== undefined) this.#forget(entry.resource, change);
			if (discardChannel.hasSubscribers) discardChannel.publish({ pool: this, resource: entry.resource, change });
		}
		for (const resource of lingering) this.#forget(resource, change);
		// The application has ended this pool; that it was copied meanwhile does not open it again.
		this.#closeIfEmpty();
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

/** @throws OptionError (ERR_FORKSAFE_OPTION), before anything waits */
function checkAcquireOptions(options: AcquireOptions): void {
	rejectUnknownOptions(options, ["signal", "timeoutMillis"]);
	const { signal, timeoutMillis } = options;
	if (timeoutMillis !== undefined) checkDuration("timeoutMillis", timeoutMillis);
	if (signal !== undefined && !(signal instanceof AbortSignal)) {
		throw new OptionError("signal", signal, "must be an AbortSignal");
	}
}
