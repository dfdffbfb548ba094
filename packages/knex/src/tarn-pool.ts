/**
 * tarn's interface over core's engine: what Knex and its users call, and what they test with `instanceof`. tarn's own
 * lists stay empty; its emitter and its event numbers are used as they are.
 */
import {
	AcquireTimeoutError,
	ConnectError,
	checkDuration,
	type Driver,
	Pool as Engine,
	type PoolOptions as EngineOptions,
	OptionError,
	type ProcessChange,
	type ProcessWatch,
	ReleaseError,
	rejectUnknownOptions,
} from "@forksafe/core";
import { Pool as Tarn, TimeoutError } from "tarn";

type Callback<R> = (error: unknown, resource?: R) => void;

/** tarn's options, with its defaults, and what forksafe adds. Durations in milliseconds; 0 switches a limit off. */
export interface TarnPoolOptions<R extends object> {
	/**
	 * Opens a resource: calls back, or returns a promise. The signal, which tarn does not have, is aborted when the resource
	 * is not wanted any more: its time is up, the pool is being destroyed, the process has changed.
	 */
	create: (callback: Callback<R>, signal: AbortSignal) => R | PromiseLike<R> | void;
	/** Ends a resource of this process politely. */
	destroy: (resource: R) => unknown;
	/** Asked before a resource is handed out again. */
	validate?: (resource: R) => boolean | PromiseLike<boolean>;
	/** Forgets an inherited resource without writing a byte. @default calls `resource.discard(change)` */
	discard?: (resource: R, change: ProcessChange) => void;
	min: number;
	max: number;
	/** @default 30000 */
	acquireTimeoutMillis?: number;
	/** @default 30000 */
	createTimeoutMillis?: number;
	/** @default 5000 */
	destroyTimeoutMillis?: number;
	/** @default 30000 */
	idleTimeoutMillis?: number;
	/** @default 1000 */
	reapIntervalMillis?: number;
	/** Time between two tries to create, with `propagateCreateError: false`. @default 200 */
	createRetryIntervalMillis?: number;
	/** Whether a failed create rejects an acquire at once, or is tried again until the acquire times out. @default false */
	propagateCreateError?: boolean;
	log?: (message: string, level: "warn") => void;
	/** What the pool is called in log lines. @default "pool" */
	name?: string;
	/** More acquires than this may not wait. 0: no limit. @default 0 */
	maxPending?: number;
	/** @default "always" */
	processWatch?: ProcessWatch;
	/** Called once after each process change. */
	onProcessChange?: (change: ProcessChange) => void;
}

const NAMES_IN_ENGINE: Record<string, keyof EngineOptions> = {
	min: "min",
	max: "max",
	name: "name",
	maxPending: "maxPending",
	processWatch: "processWatch",
	onProcessChange: "onProcessChange",
	acquireTimeoutMillis: "acquireTimeoutMillis",
	createTimeoutMillis: "connectTimeoutMillis",
	destroyTimeoutMillis: "destroyTimeoutMillis",
	idleTimeoutMillis: "idleTimeoutMillis",
	reapIntervalMillis: "maintenanceIntervalMillis",
};
const OTHER_NAMES = ["create", "destroy", "validate", "discard", "log", "createRetryIntervalMillis", "propagateCreateError"];
const TARN_DEFAULTS: EngineOptions = { connectTimeoutMillis: 30_000, idleTimeoutMillis: 30_000 };

/** @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor */
export class TarnPool<R extends object> extends Tarn<R> {
	/** @internal How a resource is to notice a change: `once` is over after the first. */
	processWatch: ProcessWatch;
	private readonly engine: Engine<R>;

	constructor(options: TarnPoolOptions<R>) {
		checkTarnOptions(options);
		// The engine first: it refuses what tarn would call by other names.
		const self: { pool?: TarnPool<R> } = {};
		const driver = new TarnDriver(options, () => self.pool as TarnPool<R>);
		const engine = new Engine<R>(driver, engineOptions(options));
		const { create, destroy, min, max } = options;
		super({ create: create as () => Promise<R>, destroy, min, max });
		self.pool = this;
		this.engine = engine;
		this.processWatch = engine.options.processWatch;
		engine.on("processChange", () => {
			if (this.processWatch === "once") this.processWatch = "off";
		});
		if (options.log !== undefined) this.log = options.log;
	}

	override numUsed(): number {
		const { used, validating } = this.engine.stats();
		return used + validating;
	}

	override numFree(): number {
		return this.engine.stats().idle;
	}

	override numPendingAcquires(): number {
		const { pending, validating } = this.engine.stats();
		return Math.max(0, pending - validating);
	}

	override numPendingValidations(): number {
		return this.engine.stats().validating;
	}

	override numPendingCreates(): number {
		return this.engine.stats().connecting;
	}

	/** Rejects with tarn's TimeoutError when the time is up; its `cause` has the numbers. */
	override acquire(): ReturnType<Tarn<R>["acquire"]> {
		const eventId = this.eventId++;
		this._executeEventHandlers("acquireRequest", eventId);
		const abort = new AbortController();
		const promise = this.engine.acquire({ signal: abort.signal }).then(
			(resource) => {
				this._executeEventHandlers("acquireSuccess", eventId, resource);
				return resource;
			},
			(reason: unknown) => {
				const error = inTheWordsOfTarn(reason);
				this._executeEventHandlers("acquireFail", eventId, error);
				throw error;
			},
		);
		return { promise, abort: () => abort.abort(new Error("aborted")) } as ReturnType<Tarn<R>["acquire"]>;
	}

	/** @returns whether the resource was taken back, as tarn does: false for a stranger and for a second release */
	override release(resource: R): boolean {
		this._executeEventHandlers("release", resource);
		try {
			this.engine.release(resource);
			return true;
		} catch (error) {
			if (error instanceof ReleaseError) return false;
			throw error;
		}
	}

	override check(): void {
		this.engine.maintain();
	}

	/**
	 * Ends the pool: acquires that wait or come later are rejected at once, resources in use have 30 s to come back. In a
	 * forked child it ends the child's own pool only.
	 */
	override async destroy(): Promise<never> {
		const eventId = this.eventId++;
		this._executeEventHandlers("poolDestroyRequest", eventId);
		this.destroyed = true;
		await this.engine.drain();
		this._executeEventHandlers("poolDestroySuccess", eventId);
		this.emitter.removeAllListeners();
		return undefined as never;
	}

	/** @internal Looks who this process is: what another process has begun to create is aborted. */
	look(): void {
		this.engine.stats();
	}

	/** @internal numbers an event that the driver reports */
	nextEventId(): number {
		return this.eventId++;
	}
}

/** Creates and destroys with the functions of tarn's options, and reports it by tarn's events. */
class TarnDriver<R extends object> implements Driver<R> {
	readonly validate?: (resource: R) => boolean | Promise<boolean>;
	readonly #options: TarnPoolOptions<R>;
	readonly #pool: () => TarnPool<R>;

	constructor(options: TarnPoolOptions<R>, pool: () => TarnPool<R>) {
		this.#options = options;
		this.#pool = pool;
		const { validate } = options;
		if (validate !== undefined) this.validate = async (resource) => validate(resource);
	}

	async connect(signal: AbortSignal): Promise<R> {
		for (;;) {
			const eventId = this.#pool().nextEventId();
			this.#pool()._executeEventHandlers("createRequest", eventId);
			try {
				this.#pool().look();
				signal.throwIfAborted();
				const resource = await this.#create(signal);
				if (!signal.aborted) this.#pool()._executeEventHandlers("createSuccess", eventId, resource);
				return resource;
			} catch (error) {
				this.#pool()._executeEventHandlers("createFail", eventId, error);
				const isLast = this.#options.propagateCreateError === true || this.#pool().numPendingAcquires() === 0;
				if (signal.aborted || isLast) throw error;
				await delay(this.#options.createRetryIntervalMillis ?? 200, signal);
				if (signal.aborted) throw error;
			}
		}
	}

	isAlive(): boolean {
		return true;
	}

	async destroy(resource: R): Promise<void> {
		const eventId = this.#pool().nextEventId();
		this.#pool()._executeEventHandlers("destroyRequest", eventId, resource);
		try {
			await this.#options.destroy(resource);
			this.#pool()._executeEventHandlers("destroySuccess", eventId, resource);
		} catch (error) {
			this.#pool()._executeEventHandlers("destroyFail", eventId, resource, error);
			throw error;
		}
	}

	discard(resource: R, change: ProcessChange): void {
		const { discard } = this.#options;
		if (discard === undefined) (resource as R & { discard(change: ProcessChange): void }).discard(change);
		else discard(resource, change);
	}

	/** By callback or by promise: whatever is truthy is taken for the result, as tarn does. */
	#create(signal: AbortSignal): Promise<R> {
		return new Promise((resolve, reject) => {
			const callback: Callback<R> = (error, resource) => (error ? reject(error) : resolve(resource as R));
			const created = async (): Promise<R | void> => this.#options.create(callback, signal);
			created().then((resource) => resource && resolve(resource), reject);
		});
	}
}

function checkTarnOptions<R extends object>(options: TarnPoolOptions<R>): void {
	rejectUnknownOptions(options, [...Object.keys(NAMES_IN_ENGINE), ...OTHER_NAMES]);
	// The engine checks the rest, but knows these by other names or not at all.
	for (const name of ["createTimeoutMillis", "reapIntervalMillis", "createRetryIntervalMillis"] as const) {
		if (options[name] !== undefined) checkDuration(name, options[name]);
	}
	const { reapIntervalMillis = 1 } = options;
	if (reapIntervalMillis < 1) throw new OptionError("reapIntervalMillis", reapIntervalMillis, "must be 1 or more");
	for (const name of ["create", "destroy"] as const) {
		if (typeof options[name] !== "function") throw new OptionError(name, options[name], "must be a function");
	}
	for (const name of ["min", "max"] as const) {
		if (options[name] === undefined) throw new OptionError(name, undefined, "must be given: tarn has no default for it");
	}
	const { propagateCreateError } = options;
	if (propagateCreateError !== undefined && typeof propagateCreateError !== "boolean") {
		throw new OptionError("propagateCreateError", propagateCreateError, "must be true or false");
	}
	for (const name of ["validate", "discard", "log"] as const) checkFunction(name, options[name]);
}

/** @throws OptionError (ERR_FORKSAFE_OPTION) unless `value` is a function, or was not given */
export function checkFunction(name: string, value: unknown): void {
	if (value !== undefined && typeof value !== "function") throw new OptionError(name, value, "must be a function");
}

function engineOptions<R extends object>(options: TarnPoolOptions<R>): EngineOptions {
	const given = Object.entries(options).filter(([name, value]) => name in NAMES_IN_ENGINE && value !== undefined);
	const named = given.map(([name, value]) => [NAMES_IN_ENGINE[name], value] as const);
	const { log } = options;
	return { ...TARN_DEFAULTS, ...Object.fromEntries(named), ...(log && { log: (message: string) => log(message, "warn") }) };
}

/** What applications of tarn and Knex test for; what forksafe knows is the `cause`. */
function inTheWordsOfTarn(error: unknown): unknown {
	if (error instanceof AcquireTimeoutError || (error instanceof ConnectError && error.isTimeout)) {
		return Object.assign(new TimeoutError(error.message), { cause: error });
	}
	return error instanceof ConnectError ? error.asDriverError() : error;
}

/** Ends early, without an error, when the signal is aborted. */
function delay(millis: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, millis);
		signal.addEventListener(
			"abort",
			() => {
				clearTimeout(timer);
				resolve();
			},
			{ once: true },
		);
	});
}
