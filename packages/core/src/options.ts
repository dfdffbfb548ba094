import { type Clock, systemClock } from "./clock.ts";
import { OptionError } from "./errors.ts";
import { type Permits, permitsFlaw, unlimitedPermits } from "./permits.ts";
import type { ProcessChange } from "./process-change.ts";
import type { SuspendOptions } from "./process-registry.ts";

/**
 * How a pool notices that its process has changed.
 * - `always`: it looks on every acquire and on every maintenance tick
 * - `once`: it stops looking after its first change (pre-fork servers change once)
 * - `off`: it never looks by itself
 *
 * A change that somebody else announces (`afterFork()`, `reportProcessChange()`, another pool that looked) is obeyed in
 * all three.
 */
export type ProcessWatch = "always" | "once" | "off";

/** Options of a {@link Pool}. All durations are milliseconds, and whole or fractional numbers of them. */
export interface PoolOptions {
	/** What the pool is called in log lines. @default "pool" */
	name?: string;
	/**
	 * So many connections are kept when idle ones are closed, and replaced when they are lost: one at a time, at moments
	 * chosen by chance. Nothing is opened before this process has asked for a connection. @default 0
	 */
	min?: number;
	/** Never more connections than this at a time, those being opened or closed included. @default 10 */
	max?: number;
	/** More acquires than this may not wait; the next is rejected with ERR_FORKSAFE_QUEUE_FULL. 0: no limit. @default 0 */
	maxPending?: number;
	/** An acquire is rejected with ERR_FORKSAFE_ACQUIRE_TIMEOUT after this time. 0: never. @default 30000 */
	acquireTimeoutMillis?: number;
	/** A connect (name, TCP, TLS, authentication, set-up) is given up after this time. 0: never. @default 10000 */
	connectTimeoutMillis?: number;
	/**
	 * When a pool without connections needs several, the first one is opened alone for so long, or until it has been opened.
	 * All at once, they delay each other, and the first one most (under TLS or SCRAM 2 to 4 times). 0: all at once.
	 * @default 15
	 */
	connectHeadStartMillis?: number;
	/** So many connections are opened at a time, at most. 0: as many as there is need for. @default 10 */
	maxConnecting?: number;
	/**
	 * The server is asked whether a connection is still good when it has been idle for longer than this, by either clock
	 * (monotonic, time of day). One used more recently is only looked at. 0: the server is never asked. @default 1000
	 */
	validateAfterIdleMillis?: number;
	/** A validation that takes longer has failed. 0: it may take for ever. @default 5000 */
	validateTimeoutMillis?: number;
	/** A connection whose polite end takes longer stops counting. 0: it may take for ever. @default 5000 */
	destroyTimeoutMillis?: number;
	/** A connection that nobody has used for this time is closed by the next maintenance tick. 0: never. @default 10000 */
	idleTimeoutMillis?: number;
	/**
	 * A connection older than this is closed when it is next idle: up to a tenth earlier, at random for each, so that those
	 * opened together do not all go at once (HikariCP's reason). 0: never. @default 0
	 */
	maxLifetimeMillis?: number;
	/** A connection handed out this often is closed when it comes back. 0: never. @default 0 */
	maxUses?: number;
	/**
	 * A connection that is held for longer is reported once, with the stack of who acquired it: a log line, the event `leak`,
	 * the channel `forksafe:connection:leak`. Each acquire then costs a stack trace. 0: never. @default 0
	 */
	leakThresholdMillis?: number;
	/**
	 * Time between two maintenance ticks, which close what is idle too long and look who this process is. They are more
	 * frequent than this where `idleTimeoutMillis` is short. @default 1000
	 */
	maintenanceIntervalMillis?: number;
	/**
	 * Who is asked before a connection is opened, and told when it has ended: `connectionPermits()` of `@forksafe/cluster`, for one
	 * budget of all processes. While it waits for a permit, a connect counts as connecting. @default nobody
	 */
	permits?: Permits;
	/** @default "always" */
	processWatch?: ProcessWatch;
	/** Called once after each process change, when everything inherited was discarded. */
	onProcessChange?: (change: ProcessChange) => void;
	/** Receives the pool's log lines. @default nothing is logged */
	log?: (message: string) => void;
	/** Where time comes from; for tests. @default the clock of the process */
	clock?: Clock;
	/** A number from 0 to 1, where chance is needed; for tests. @default read from the operating system */
	random?: () => number;
}

/** Every option with its value; 0 means "off" or "no limit", as documented. */
export type ResolvedPoolOptions = Readonly<Required<PoolOptions>>;

/** The defaults, as documented. */
export const defaultPoolOptions: ResolvedPoolOptions = {
	name: "pool",
	min: 0,
	max: 10,
	maxPending: 0,
	acquireTimeoutMillis: 30_000,
	connectTimeoutMillis: 10_000,
	connectHeadStartMillis: 15,
	maxConnecting: 10,
	validateAfterIdleMillis: 1_000,
	validateTimeoutMillis: 5_000,
	destroyTimeoutMillis: 5_000,
	idleTimeoutMillis: 10_000,
	maxLifetimeMillis: 0,
	maxUses: 0,
	leakThresholdMillis: 0,
	maintenanceIntervalMillis: 1_000,
	permits: unlimitedPermits,
	processWatch: "always",
	onProcessChange: () => {},
	log: () => {},
	clock: systemClock,
	// Not Math.random: all children of a fork would draw the same numbers.
	random: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
};

/** setTimeout fires at once when it is given more. */
const LONGEST_TIMER_MILLIS = 2 ** 31 - 1;

const checks: Record<keyof PoolOptions, (value: never) => string | undefined> = {
	name: mustBe("a string"),
	min: wholeNumber(0),
	max: wholeNumber(1),
	maxPending: wholeNumber(0),
	acquireTimeoutMillis: duration(0),
	connectTimeoutMillis: duration(0),
	connectHeadStartMillis: duration(0),
	maxConnecting: wholeNumber(0),
	validateAfterIdleMillis: duration(0),
	validateTimeoutMillis: duration(0),
	destroyTimeoutMillis: duration(0),
	idleTimeoutMillis: duration(0),
	maxLifetimeMillis: duration(0),
	maxUses: wholeNumber(0),
	leakThresholdMillis: duration(0),
	maintenanceIntervalMillis: duration(1),
	permits: permitsFlaw,
	processWatch: processWatchFlaw,
	onProcessChange: mustBe("a function"),
	log: mustBe("a function"),
	clock: mustBe("an object"),
	random: mustBe("a function"),
};

/** What is wrong with it; undefined when it is one. */
export function processWatchFlaw(value: unknown): string | undefined {
	return value === "always" || value === "once" || value === "off" ? undefined : 'must be "always", "once" or "off"';
}

/**
 * Checks options and fills in the defaults; an option that is undefined counts as not given.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) for the first one that does not exist, has a wrong type or contradicts another
 */
export function resolvePoolOptions(options: PoolOptions = {}): ResolvedPoolOptions {
	rejectUnknownOptions(options, Object.keys(checks));
	const given = Object.entries(options).filter(([, value]) => value !== undefined);
	for (const [name, value] of given) {
		const complaint = checks[name as keyof PoolOptions](value as never);
		if (complaint !== undefined) throw new OptionError(name, value, complaint);
	}
	const resolved: ResolvedPoolOptions = { ...defaultPoolOptions, ...(Object.fromEntries(given) as PoolOptions) };
	if (resolved.min > resolved.max) throw new OptionError("min", resolved.min, `must not be above max (${resolved.max})`);
	return resolved;
}

/**
 * Refuses options that nobody would read: a misspelt name changes nothing, silently, for years.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) naming the option, and the known one that looks most like it
 */
export function rejectUnknownOptions(options: unknown, known: readonly string[]): void {
	if (typeof options !== "object" || options === null) {
		throw new OptionError("options", options, "must be an object", false);
	}
	for (const [name, value] of Object.entries(options)) {
		if (known.includes(name)) continue;
		const alike = mostAlike(name, known);
		throw new OptionError(name, value, `does not exist${alike === undefined ? "" : `; did you mean ${alike}?`}`, false);
	}
}

/** @throws OptionError (ERR_FORKSAFE_OPTION) unless `value` is a number of milliseconds, 0 included */
export function checkDuration(name: string, value: unknown): void {
	const complaint = duration(0)(value);
	if (complaint !== undefined) throw new OptionError(name, value, complaint);
}

/** @throws OptionError (ERR_FORKSAFE_OPTION) */
export function checkSuspendOptions(options: SuspendOptions): void {
	rejectUnknownOptions(options, ["deadlineMillis", "acquires"]);
	const { deadlineMillis = 0, acquires = "wait" } = options;
	checkDuration("deadlineMillis", deadlineMillis);
	if (acquires !== "wait" && acquires !== "reject") throw new OptionError("acquires", acquires, 'must be "wait" or "reject"');
}

function mustBe(what: "a string" | "a function" | "an object"): (value: unknown) => string | undefined {
	const type = what.replace(/^an? /, "");
	return (value) => (typeof value === type && value !== null ? undefined : `must be ${what}`);
}

function wholeNumber(least: number): (value: unknown) => string | undefined {
	return (value) =>
		Number.isSafeInteger(value) && (value as number) >= least ? undefined : `must be a whole number, ${least} or more`;
}

function duration(least: number): (value: unknown) => string | undefined {
	return (value) =>
		typeof value === "number" && value >= least && value <= LONGEST_TIMER_MILLIS
			? undefined
			: `must be a number of milliseconds from ${least} to ${LONGEST_TIMER_MILLIS}${least === 0 ? " (0: off)" : ""}`;
}

/** The one with the fewest letters to change, 2 at most. */
function mostAlike(name: string, known: readonly string[]): string | undefined {
	const distances = known.map((candidate) => distance(candidate.toLowerCase(), name.toLowerCase()));
	const least = Math.min(...distances);
	return least <= 2 ? known[distances.indexOf(least)] : undefined;
}

/** Levenshtein's: how many letters to change, add or drop. */
function distance(a: string, b: string): number {
	let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (const [i, letter] of [...a].entries()) {
		const current = [i + 1];
		for (const [j, other] of [...b].entries()) {
			const change = (previous[j] ?? 0) + (letter === other ? 0 : 1);
			current.push(Math.min(change, (previous[j + 1] ?? 0) + 1, (current[j] ?? 0) + 1));
		}
		previous = current;
	}
	return previous.at(-1) ?? 0;
}
