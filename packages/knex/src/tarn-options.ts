import {
	checkDuration,
	type PoolOptions as EngineOptions,
	OptionError,
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
	destroyTimeoutMillis: "destroyTimeoutMillis",
	reapIntervalMillis: "maintenanceIntervalMillis",
};
/** The engine checks the rest, but knows these by other names or not at all. */
const OWN_DURATIONS = ["createTimeoutMillis", "idleTimeoutMillis", "reapIntervalMillis", "createRetryIntervalMillis"] as const;
const OTHER_NAMES = ["create", "destroy", "validate", "discard", "log", "propagateCreateError"];

/** @throws OptionError (ERR_FORKSAFE_OPTION) for what tarn or forksafe cannot work with */
export function checkTarnOptions<R extends object>(options: TarnPoolOptions<R>): void {
	rejectUnknownOptions(options, [...Object.keys(NAMES_IN_ENGINE), ...OWN_DURATIONS, ...OTHER_NAMES]);
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

/** For core's pool. How long a create may take, and what is idle too long, is left to the face: tarn counts it otherwise. */
export function engineOptions<R extends object>(options: TarnPoolOptions<R>): EngineOptions {
	const given = Object.entries(options).filter(([name, value]) => name in NAMES_IN_ENGINE && value !== undefined);
	const named = given.map(([name, value]) => [NAMES_IN_ENGINE[name], value] as const);
	const { log } = options;
	return {
		...Object.fromEntries(named),
		connectTimeoutMillis: 0,
		connectHeadStartMillis: 0,
		maxConnecting: 0,
		idleTimeoutMillis: 0,
		...(log && { log: (message: string) => log(message, "warn") }),
	};
}
