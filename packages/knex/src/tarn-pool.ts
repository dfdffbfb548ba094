/**
 * tarn's interface over core's engine: what Knex and its users call, and what they test with `instanceof`. tarn's own
 * lists stay empty; its emitter, its event numbers, its reaping interval and its `destroy()` are used as they are.
 *
 * Who waits, waits here, and sends the engine for a resource with a ticket. Tickets are alike: what one brings goes to
 * the first in line, so that an acquire whose resource was found broken stays first, as it does in tarn.
 */

import process from "node:process";
import {
	type AcquirePhase,
	AcquireTimeoutError,
	ConnectError,
	currentGeneration,
	Pool as Engine,
	isBuildingSnapshot,
	type PoolStats,
	type ProcessChange,
	ProcessChangedError,
	type ProcessWatch,
	type SuspendOptions,
	stackAbove,
	WaitQueue,
	withoutStack,
} from "@forksafe/core";
import { Pool as Tarn, TimeoutError } from "tarn";
import { asyncContext } from "./async-context.ts";
import { Acquire, type Ticket } from "./tarn-acquire.ts";
import { type Host, TarnDriver } from "./tarn-driver.ts";
import { checkTarnOptions, engineOptions, type TarnPoolOptions } from "./tarn-options.ts";

const DEFAULT_IDLE_TIMEOUT_MILLIS = 30_000;
/** Nobody sees it: whoever has asked was told otherwise. No error: Node 22 cannot write a snapshot with one whose stack nobody reads. */
const ABANDONED = Symbol("abandoned");

/** @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor */
export class TarnPool<R extends object> extends Tarn<R> {
	/** @internal How a resource is to notice a change: `once` is over after the first. */
	processWatch: ProcessWatch;
	private readonly engine: Engine<R>;
	private readonly driver: TarnDriver<R>;
	private readonly hasLeakThreshold: boolean;
	/** Where a library acquires in an async context of its own, who has called it. */
	private readonly holders = asyncContext<Error>();
	private readonly validator: TarnPoolOptions<R>["validate"];
	/** Who waits for a resource, the first in line first; each has a ticket. */
	private readonly line = new WaitQueue<Acquire<R>>();
	/** For whom a resource is being validated. */
	private readonly validating = new Map<R, Acquire<R>>();
	/** Since when a resource has been idle, the one that will be handed out next last. */
	private readonly idleSince = new Map<R, number>();
	/** Just created: to be handed out without a validation. */
	private readonly fresh = new WeakSet<R>();
	/** What can be released. */
	private readonly handedOut = new WeakSet<R>();
	/** Destroyed or discarded: it may still be released. */
	private readonly ended = new WeakSet<R>();
	private hasWarnedOfRelease = false;

	constructor(options: TarnPoolOptions<R>) {
		checkTarnOptions(options);
		const driver = new TarnDriver<R>(options, () => (this as TarnPool<R>).host);
		const engine = new Engine<R>(driver, engineOptions(options));
		const { create, destroy, min, max } = options;
		super({ create: create as () => Promise<R>, destroy, min, max });
		this.engine = engine;
		this.driver = driver;
		this.validator = options.validate;
		this.hasLeakThreshold = engine.options.leakThresholdMillis > 0;
		this.acquireTimeoutMillis = engine.options.acquireTimeoutMillis;
		this.idleTimeoutMillis = options.idleTimeoutMillis ?? DEFAULT_IDLE_TIMEOUT_MILLIS;
		this.reapIntervalMillis = options.reapIntervalMillis ?? this.reapIntervalMillis;
		this.processWatch = engine.options.processWatch;
		if (options.log !== undefined) this.log = options.log;
		engine.on("connect", (resource) => this.created(resource));
		engine.on("destroy", (resource, error) => {
			this.end(resource);
			driver.destroyed(resource, error);
		});
		engine.on("leak", (leak) => this._executeEventHandlers("leak", leak));
		engine.on("discard", (resource, change) => this.discarded(resource, change));
		engine.on("processChange", () => {
			if (this.processWatch === "once") this.processWatch = "off";
			this._stopReaping();
		});
	}

	override numUsed(): number {
		return this.engine.stats().used;
	}

	override numFree(): number {
		return this.engine.stats().idle;
	}

	override numPendingAcquires(): number {
		return this.engine.stats().pending;
	}

	/** Those included to whom the engine has just given a resource, and who do not know it yet. */
	override numPendingValidations(): number {
		return this.validating.size + Math.max(0, this.line.size - this.engine.stats().pending);
	}

	override numPendingCreates(): number {
		this.look();
		return this.driver.creating;
	}

	private get watchesLeaks(): boolean {
		return this.hasLeakThreshold || isBuildingSnapshot();
	}

	/** @internal What `action` acquires, now or later, is held by whoever has called `below`. */
	heldByCallerOf<T>(below: (...args: never[]) => unknown, action: () => T): T {
		return this.watchesLeaks ? this.holders.run(stackAbove(below), action) : action();
	}

	/** Rejects with tarn's TimeoutError when the time is up; its `cause` has the numbers. */
	override acquire(): ReturnType<Tarn<R>["acquire"]> {
		const eventId = this.eventId++;
		this._executeEventHandlers("acquireRequest", eventId);
		const acquire = new Acquire<R>(this.acquireTimeoutMillis);
		acquire.onTimeout = () => this.timeOut(acquire);
		if (this.watchesLeaks) acquire.holder = this.holders.getStore() ?? stackAbove(this.acquire);
		acquire.promise = acquire.promise.then(
			(resource) => {
				this._executeEventHandlers("acquireSuccess", eventId, resource);
				return resource;
			},
			(reason: unknown) => {
				this._executeEventHandlers("acquireFail", eventId, reason);
				throw reason;
			},
		);
		const resource = this.takeIdle();
		if (resource === undefined) {
			this.join(acquire);
			this.startDeadline(acquire);
		} else {
			this.handOver(resource, acquire);
		}
		return acquire as unknown as ReturnType<Tarn<R>["acquire"]>;
	}

	/** @returns whether the resource was taken back, as tarn does: false for a stranger and for a second release */
	override release(resource: R): boolean {
		this._executeEventHandlers("release", resource);
		if (!this.handedOut.delete(resource)) {
			if (!this.ended.has(resource)) this.warnOfRelease();
			return false;
		}
		this.giveBack(resource);
		return true;
	}

	/** Ends what has been idle too long, and looks who this process is. Runs by itself, as tarn's does. */
	override check(): void {
		this.engine.maintain();
		const { idle, used } = this.engine.stats();
		let surplus = this.idleTimeoutMillis === 0 ? 0 : idle + used - this.min;
		// The last of them may have been taken in this very moment.
		for (const [resource, since] of [...this.idleSince].slice(0, idle)) {
			if (surplus <= 0 || performance.now() - since < this.idleTimeoutMillis) continue;
			this.idleSince.delete(resource);
			if (this.engine.invalidate(resource)) surplus--;
		}
		if (this.isEmpty()) this._stopReaping();
	}

	/**
	 * Ends the pool: acquires that wait or come later are rejected at once, resources in use have 30 s to come back. In a
	 * forked child it ends the child's own pool only.
	 */
	override destroy(): ReturnType<Tarn<R>["destroy"]> {
		const destroyed = super.destroy();
		// tarn waits for these after everything else.
		this.pendingDestroys.push({ promise: this.engine.drain() } as never);
		return destroyed;
	}

	/**
	 * Beyond tarn: replaces every resource, softly, those that are idle now, those in use when they come back. For a password
	 * that was rotated, or a server that is no longer the primary.
	 *
	 * @param from the resource that has told: ten that tell of one shutdown evict once, not those created since
	 */
	evict(from?: R): void {
		this.engine.evict(from);
	}

	/**
	 * Beyond tarn: destroys every resource and creates none until {@link TarnPool.resume}, so that the process can be stopped,
	 * frozen or copied without leaving a session behind: those in use finish, the rest is destroyed at once. Resolves when the
	 * last one has gone.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION); ResumedError (ERR_FORKSAFE_RESUMED) when `resume()` was called before that
	 * @example
	 * ```ts
	 * await knex.client.pool.suspend({ deadlineMillis: 2_000 });
	 * ```
	 */
	suspend(options?: SuspendOptions): Promise<void> {
		return this.engine.suspend(options);
	}

	/** Opens a pool that is suspended: it creates when somebody needs a resource, those first who have waited. */
	resume(): void {
		this.engine.resume();
	}

	/** As tarn's, without a list of nobody. */
	override _executeEventHandlers(event: string, ...args: unknown[]): void {
		if (this.emitter.listenerCount(event) > 0) super._executeEventHandlers(event, ...args);
	}

	/** While a snapshot is built, nothing is idle. */
	override _startReaping(): void {
		if (isBuildingSnapshot()) return;
		super._startReaping();
		this.interval?.unref();
	}

	/** @internal Looks who this process is: what another process has begun to create is aborted. */
	look(): void {
		if (this.processWatch !== "off") currentGeneration();
	}

	private readonly host: Host<R> = {
		emit: (event, ...args) => this._executeEventHandlers(event, ...args),
		nextEventId: () => this.eventId++,
		look: () => this.look(),
		startDeadline: (millis, action) => this.engine.startDeadline(millis, action),
		warn: (what, error) => this.warn(what, error),
		waiting: () => this.line,
		wouldBeUnserved: () => {
			const { pending, connecting } = this.engine.stats();
			return pending - (connecting - 1);
		},
	};

	/** The first one only. By a process warning, because it is a mistake in a program, and the log is off by default. */
	private warnOfRelease(): void {
		if (this.hasWarnedOfRelease) return;
		this.hasWarnedOfRelease = true;
		const warning = new Error(`forksafe: ${this.engine.options.name}: a resource was released that nobody holds; ignored`);
		process.emitWarning(Object.assign(warning, { name: "ForkSafeWarning", code: "FORKSAFE_RELEASE" }));
	}

	private warn(what: string, error: unknown): void {
		this.log(`Tarn: ${what} threw an exception ${error instanceof Error ? error.stack : String(error)}`, "warn");
	}

	private giveBack(resource: R): void {
		if (!this.ended.has(resource)) this.idleSince.set(resource, performance.now());
		this.engine.release(resource);
	}

	/** Looks who this process is, also when there is nothing to take. */
	private takeIdle(): R | undefined {
		if (this.line.size === 0) return this.engine.tryAcquire();
		this.look();
		return undefined;
	}

	private join(acquire: Acquire<R>): void {
		acquire.isInLine = true;
		this.line.push(acquire);
		this.hurryAfter(() => this.ask(acquire));
	}

	/** Whoever calls it has looked who this process is. */
	private ask(acquire: Acquire<R>): void {
		const ticket: Ticket<R> = { request: this.engine.request(true), acquire };
		acquire.ticket = ticket;
		acquire.onRejected = () => {
			if (acquire.isInLine) this.leave(acquire);
			acquire.ticket?.request.abandon(ABANDONED);
		};
		ticket.request.promise.then(
			(resource) => this.offer(resource, ticket),
			(reason: unknown) => ticket.acquire.reject(reason instanceof ConnectError ? reason.asDriverError() : reason),
		);
	}

	private startDeadline(acquire: Acquire<R>): void {
		acquire.startDeadline((millis, action) => this.engine.startWaitDeadline(millis, action));
	}

	private leave(acquire: Acquire<R>): void {
		acquire.isInLine = false;
		this.line.remove(acquire);
	}

	/** When somebody waits anew, tarn creates at once, also while a create that has failed waits for its next try. */
	private hurryAfter(action: () => void): void {
		const { begun } = this.driver;
		action();
		if (this.driver.begun !== begun || !this.driver.hasFailed) return;
		const { pending, connecting, destroying } = this.engine.stats();
		const createsWhenOneHasEnded = destroying > 0 && pending > connecting;
		if (this.driver.creating < pending && !createsWhenOneHasEnded) this.driver.retry();
	}

	/** To the first in line, who may be another one than who has sent for it. */
	private offer(resource: R, ticket: Ticket<R>): void {
		const { acquire: sender } = ticket;
		const { first } = this.line;
		if (!sender.isPending || first === undefined) {
			this.idleSince.delete(resource);
			this.giveBack(resource);
			return;
		}
		this.leave(first);
		if (first !== sender) {
			sender.ticket = first.ticket as Ticket<R>;
			sender.ticket.acquire = sender;
		}
		first.ticket = undefined;
		this.handOver(resource, first);
	}

	private handOver(resource: R, acquire: Acquire<R>): void {
		this.idleSince.delete(resource);
		if (this.validator === undefined || this.fresh.delete(resource)) {
			this.grant(resource, acquire);
			return;
		}
		const verdict = this.verdictOn(resource, this.validator);
		if (verdict === true) {
			this.grant(resource, acquire);
			return;
		}
		this.validating.set(resource, acquire);
		acquire.onRejected = () => this.judge(resource, acquire, false, new Error("aborted"));
		if (verdict === false) queueMicrotask(() => this.judge(resource, acquire, false));
		else this.awaitVerdict(resource, acquire, verdict);
	}

	private grant(resource: R, acquire: Acquire<R>): void {
		this.handedOut.add(resource);
		if (acquire.holder !== undefined) this.engine.watchHolder(resource, acquire.holder);
		this._startReaping();
		acquire.resolve(resource);
	}

	private awaitVerdict(resource: R, acquire: Acquire<R>, verdict: PromiseLike<boolean>): void {
		this.startDeadline(acquire);
		const { validateTimeoutMillis } = this.engine.options;
		const isTooLate = (): void => {
			this.judge(resource, acquire, false, new TimeoutError(`the validation took longer than ${validateTimeoutMillis} ms`));
		};
		acquire.stopValidating = this.engine.startDeadline(validateTimeoutMillis, isTooLate);
		const judge = (isValid: boolean, ...errors: unknown[]): void => {
			this.look();
			this.judge(resource, acquire, isValid, ...errors);
		};
		verdict.then(
			(isValid) => judge(Boolean(isValid)),
			(error: unknown) => judge(false, error),
		);
	}

	private judge(resource: R, acquire: Acquire<R>, isValid: boolean, ...errors: unknown[]): void {
		if (this.validating.get(resource) !== acquire) return;
		this.validating.delete(resource);
		acquire.stopValidating?.();
		for (const error of errors) this.warn("resource validator", error);
		if (isValid) {
			this.grant(resource, acquire);
			return;
		}
		this.hurryAfter(() => {
			this.engine.release(resource, { destroy: true });
			if (!acquire.isPending) return;
			acquire.isInLine = true;
			this.line.unshift(acquire);
			this.ask(acquire);
			this.startDeadline(acquire);
		});
	}

	private verdictOn(resource: R, validate: (resource: R) => boolean | PromiseLike<boolean>): boolean | PromiseLike<boolean> {
		try {
			const verdict: unknown = validate(resource);
			if (verdict !== null && typeof verdict === "object" && "then" in verdict) return verdict as PromiseLike<boolean>;
			return Boolean(verdict);
		} catch (error) {
			return Promise.reject(error);
		}
	}

	private timeOut(acquire: Acquire<R>): void {
		const stats = this.engine.stats();
		const { timeoutMillis, possibleTimeoutCause, since } = acquire;
		const error = withoutStack(() => {
			const cause = new AcquireTimeoutError(this.phase(acquire, stats), timeoutMillis, performance.now() - since, stats);
			if (possibleTimeoutCause !== null) cause.cause = possibleTimeoutCause;
			return Object.assign(new TimeoutError(cause.message), { cause });
		});
		acquire.reject(error);
	}

	private phase(acquire: Acquire<R>, { connecting }: PoolStats): AcquirePhase {
		if (acquire.ticket === undefined) return "validate";
		return connecting > 0 ? "connect" : "wait";
	}

	private created(resource: R): void {
		this.idleSince.set(resource, performance.now());
		this.fresh.add(resource);
		setImmediate(() => this.fresh.delete(resource));
	}

	private end(resource: R): void {
		this.ended.add(resource);
		this.idleSince.delete(resource);
	}

	private discarded(resource: R, change: ProcessChange): void {
		this.end(resource);
		const acquire = this.validating.get(resource);
		this.validating.delete(resource);
		acquire?.reject(new ProcessChangedError(change));
	}
}
