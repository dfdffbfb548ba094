import {
	checkDuration,
	type PoolOptions as EngineOptions,
	OptionError,
	type Permits,
	type ProcessChange,
	type ProcessWatch,
	rejectUnknownOptions,
} from "@forksafe/core";

/** How `create` calls back. */
export type Callback<R> = (error: unknown, resource?: R) => void;

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
	/**
	 * Asks the server whether a resource can be used that has been idle for longer than `validateAfterIdleMillis`. With it, one
	 * that has been idle for more than 10 ms is handed out two turns of the event loop later, before `validate` is asked: then
	 * what the kernel knows of it has been read. The signal is aborted when the answer is not awaited any more.
	 */
	ping?: (resource: R, signal: AbortSignal) => boolean | PromiseLike<boolean>;
	/**
	 * Whether a create that has failed may well succeed soon, without anybody's doing: then it is tried again, with back-off, as
	 * long as somebody waits, whatever `propagateCreateError` says.
	 */
	isTransient?: (error: unknown, hasConnected: boolean) => boolean;
	/** The resource is handed out, and keeps the process alive. */
	ref?: (resource: R) => void;
	/** The resource is idle, and lets the process exit. */
	unref?: (resource: R) => void;
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
	/** A resource that is held for longer is reported once, with the stack of who acquired it: a log line, the event `leak`. 0: never. @default 0 */
	leakThresholdMillis?: number;
	/** See `ping`. 0: never. @default 1000 */
	validateAfterIdleMillis?: number;
	/** A `validate` or a `ping` that takes longer has failed. 0: it may take for ever. @default 5000 */
	validateTimeoutMillis?: number;
	/** The first resource of a pool is created alone for so long, or until it is there. 0: as many at once as are needed. @default 0 */
	connectHeadStartMillis?: number;
	/** So many resources are created at a time, at most. 0: as many as are needed. @default 0 */
	maxConnecting?: number;
	/** Whether resources below `min` that were lost are replaced, as soon as the pool is in use. tarn does not. @default false */
	keepsMin?: boolean;
	/** Who is asked before a resource is created, and told when it has ended: a budget of several pools. @default nobody */
	permits?: Permits;
	/** @default "always" */
	processWatch?: ProcessWatch;
	/** Called once after each process change. */
	onProcessChange?: (change: ProcessChange) => void;
}

/** How long a Knex of ours lets a create take. Knex has 30 s. */
export const DEFAULT_CREATE_TIMEOUT_MILLIS = 10_000;

const NAMES_IN_ENGINE: Record<string, keyof EngineOptions> = {
	max: "max",
	name: "name",
	maxPending: "maxPending",
	leakThresholdMillis: "leakThresholdMillis",
	processWatch: "processWatch",
	onProcessChange: "onProcessChange",
	acquireTimeoutMillis: "acquireTimeoutMillis",
	destroyTimeoutMillis: "destroyTimeoutMillis",
	reapIntervalMillis: "maintenanceIntervalMillis",
	validateAfterIdleMillis: "validateAfterIdleMillis",
	validateTimeoutMillis: "validateTimeoutMillis",
	connectHeadStartMillis: "connectHeadStartMillis",
	maxConnecting: "maxConnecting",
	permits: "permits",
};
/** The engine checks the rest, but knows these by other names or not at all. */
const OWN_DURATIONS = ["createTimeoutMillis", "idleTimeoutMillis", "reapIntervalMillis", "createRetryIntervalMillis"] as const;
const FUNCTIONS = ["validate", "ping", "isTransient", "ref", "unref", "discard", "log"] as const;
const SWITCHES = ["propagateCreateError", "keepsMin"] as const;

/** @throws OptionError (ERR_FORKSAFE_OPTION) for what tarn or forksafe cannot work with */
export function checkTarnOptions<R extends object>(options: TarnPoolOptions<R>): void {
	rejectUnknownOptions(options, [
		"create",
		"destroy",
		"min",
		...Object.keys(NAMES_IN_ENGINE),
		...OWN_DURATIONS,
		...FUNCTIONS,
		...SWITCHES,
	]);
	for (const name of OWN_DURATIONS) {
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
	const { min, max } = options;
	if (!Number.isSafeInteger(min) || min < 0) throw new OptionError("min", min, "must be a whole number, 0 or more");
	if (Number.isSafeInteger(max) && max >= 1 && min > max) throw new OptionError("min", min, `must not be above max (${max})`);
	for (const name of SWITCHES) {
		const value: unknown = options[name];
		if (value !== undefined && typeof value !== "boolean") throw new OptionError(name, value, "must be true or false");
	}
	for (const name of FUNCTIONS) checkFunction(name, options[name]);
}

/** @throws OptionError (ERR_FORKSAFE_OPTION) unless `value` is a function, or was not given */
export function checkFunction(name: string, value: unknown): void {
	if (value !== undefined && typeof value !== "function") throw new OptionError(name, value, "must be a function");
}

/** For core's pool. How long a create may take, and what is idle too long, is left to the face: tarn counts it otherwise. */
export function engineOptions<R extends object>(options: TarnPoolOptions<R>): EngineOptions {
	const given = Object.entries(options).filter(([name, value]) => name in NAMES_IN_ENGINE && value !== undefined);
	const named = given.map(([name, value]) => [NAMES_IN_ENGINE[name], value] as const);
	const { log, min, keepsMin = false } = options;
	return {
		connectHeadStartMillis: 0,
		maxConnecting: 0,
		...Object.fromEntries(named),
		min: keepsMin ? min : 0,
		connectTimeoutMillis: 0,
		idleTimeoutMillis: 0,
		...(log && { log: (message: string) => log(message, "warn") }),
	};
}
