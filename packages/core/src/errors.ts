import type { ProcessChange } from "./process-change.ts";

const BRAND = Symbol.for("@forksafe/error");

/** Every code that an error of forksafe can have. */
export type ForkSafeErrorCode =
	| "ERR_FORKSAFE_PROCESS_CHANGED"
	| "ERR_FORKSAFE_INHERITED"
	| "ERR_FORKSAFE_ACQUIRE_TIMEOUT"
	| "ERR_FORKSAFE_CONNECT"
	| "ERR_FORKSAFE_CLOSED"
	| "ERR_FORKSAFE_SUSPENDED"
	| "ERR_FORKSAFE_RESUMED"
	| "ERR_FORKSAFE_QUEUE_FULL"
	| "ERR_FORKSAFE_OPTION"
	| "ERR_FORKSAFE_RELEASE";

/**
 * What all errors of forksafe have in common: a stable `code`. `instanceof` holds across loaded copies of the package.
 */
export abstract class ForkSafeError extends Error {
	abstract readonly code: ForkSafeErrorCode;

	constructor(message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = new.target.name;
	}

	/** Recognises errors of every loaded copy: this class by the brand, the classes below it by brand and name. */
	static override [Symbol.hasInstance](this: { readonly name: string }, value: unknown): boolean {
		if (!(typeof value === "object" && value !== null && BRAND in value)) return false;
		for (let prototype = value; prototype !== null; prototype = Object.getPrototypeOf(prototype)) {
			if (prototype.constructor.name === this.name) return true;
		}
		return false;
	}
}
Object.defineProperty(ForkSafeError.prototype, BRAND, { value: true });

/** A waiter was queued before the process changed: its work belongs to the other process, which goes on waiting there. */
export class ProcessChangedError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_PROCESS_CHANGED";
	readonly change: ProcessChange;

	constructor(change: ProcessChange) {
		super(
			`this acquire was queued before the process changed (${describe(change)}); ` +
				`process ${change.previousPid} still waits for it, so ask again in this process if it needs a connection too`,
		);
		this.change = change;
	}
}

/** A connection was opened by another process. It was forgotten here without a byte written, and works on over there. */
export class InheritedConnectionError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_INHERITED";
	readonly change: ProcessChange;

	constructor(change: ProcessChange) {
		super(
			`this connection belongs to process ${change.previousPid} and cannot be used here (${describe(change)}); ` +
				"acquire a new one from the pool",
		);
		this.change = change;
	}
}

/** What an acquire was waiting for when its time was up. */
export type AcquirePhase = "wait" | "permit" | "connect" | "validate";

/** How full a pool was. */
export interface PoolCounts {
	readonly max: number;
	readonly used: number;
	readonly idle: number;
	readonly connecting: number;
	readonly pending: number;
}

/** No connection could be had in time. */
export class AcquireTimeoutError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_ACQUIRE_TIMEOUT";
	readonly phase: AcquirePhase;
	/** How long the acquire has waited, in milliseconds. */
	readonly waitedMillis: number;
	readonly counts: PoolCounts;

	/** @param lastFailure why connects were held back while it waited */
	constructor(phase: AcquirePhase, timeoutMillis: number, waitedMillis: number, counts: PoolCounts, lastFailure?: ConnectError) {
		super(
			`no connection within ${timeoutMillis} ms (${listCounts(counts)}); ${lastFailure?.message ?? PHASE_ADVICE[phase]}`,
			lastFailure && { cause: lastFailure },
		);
		this.phase = phase;
		this.waitedMillis = waitedMillis;
		this.counts = counts;
	}
}

const PHASE_ADVICE: Record<AcquirePhase, string> = {
	wait: "release connections sooner, raise max, or raise acquireTimeoutMillis",
	permit:
		"other pools hold every permit: raise the total of the budget, release connections sooner, or raise acquireTimeoutMillis",
	connect: "the server has not answered yet: check that it can be reached, or raise acquireTimeoutMillis",
	validate: "the server has not answered a validation yet: check that it can be reached",
};

/** Too many wait already (`maxPending`). */
export class QueueFullError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_QUEUE_FULL";
	readonly counts: PoolCounts;

	constructor(maxPending: number, counts: PoolCounts) {
		super(`${maxPending} acquires are waiting already (${listCounts(counts)}); shed load, or raise maxPending`);
		this.counts = counts;
	}
}

/** A connection could not be opened; `cause` is what the driver said. */
export class ConnectError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_CONNECT";
	/** Whether `connectTimeoutMillis` was up. */
	readonly isTimeout: boolean;

	constructor(cause: unknown, isTimeout = false) {
		super(`no connection could be opened: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
		this.isTimeout = isTimeout;
	}

	/**
	 * The driver's error once more (class, message, code, fields), with the stack of whoever calls this and the driver's
	 * own as `cause`: what a pool that stands in for another one rejects with. Applications match on `error.code` there.
	 */
	asDriverError(): unknown {
		const { cause } = this;
		if (!(cause instanceof Error)) return cause;
		const error = new Error(cause.message, { cause });
		Object.setPrototypeOf(error, Object.getPrototypeOf(cause) as object);
		const { stack: _, cause: __, ...own } = Object.getOwnPropertyDescriptors(cause);
		return Object.defineProperties(error, own);
	}
}

/** The pool was drained or closed. */
export class PoolClosedError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_CLOSED";

	constructor(state: "draining" | "closed") {
		super(`the pool is ${state} and hands out no connections; create a new pool, or acquire before drain() and close()`);
	}
}

/** The pool is suspended, and what it is asked for meanwhile does not wait. */
export class PoolSuspendedError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_SUSPENDED";

	constructor() {
		super('the pool is suspended and hands out no connections; acquire after resume(), or suspend with acquires: "wait"');
	}
}

/** The pool was resumed before it was suspended: whoever waits for its last connection to go waits in vain. */
export class ResumedError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_RESUMED";

	/** @param connections so many it still had */
	constructor(connections: number) {
		super(
			`resume() was called while suspend() waited for ${connections} connections to end; ` +
				"await suspend() before you resume, or shorten its deadlineMillis",
		);
	}
}

/** An option does not exist, has the wrong type or contradicts another one. Thrown at construction; nothing was opened. */
export class OptionError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_OPTION";
	/** The name of the option. */
	readonly option: string;
	readonly value: unknown;

	/**
	 * @param remedy what to do instead, as the end of the sentence "option NAME (VALUE) ..."
	 * @param isPublic false for a value that could be a secret, such as that of a misspelt `password`
	 */
	constructor(option: string, value: unknown, remedy: string, isPublic = true) {
		super(`option ${option} (${show(value, isPublic)}) ${remedy}`);
		this.option = option;
		// Not enumerable: an unknown option can be a misspelt password, and loggers print what is enumerable.
		Object.defineProperty(this, "value", { value, enumerable: false });
	}
}

/** A release that makes no sense: of a connection that is idle already, or that the pool has never handed out. */
export class ReleaseError extends ForkSafeError {
	readonly code = "ERR_FORKSAFE_RELEASE";
}

/** For an error that is made in a timer: its stack names nobody, and costs more than all the rest when thousands give up. */
export function withoutStack<E extends Error>(make: () => E): E {
	const { stackTraceLimit } = Error;
	Error.stackTraceLimit = 0;
	try {
		return make();
	} finally {
		Error.stackTraceLimit = stackTraceLimit;
	}
}

/** "max 10: 10 used, 3 pending"; what is zero is left out, except for the two that tell a full pool from a slow server. */
function listCounts({ max, used, idle, connecting, pending }: PoolCounts): string {
	const parts = [`${used} used`, idle > 0 && `${idle} idle`, connecting > 0 && `${connecting} connecting`, `${pending} pending`];
	return `max ${max}: ${parts.filter((part) => part !== false).join(", ")}`;
}

function describe({ cause, previousPid, pid, previousGeneration, generation }: ProcessChange): string {
	return `${cause}: pid ${previousPid} -> ${pid}, generation ${previousGeneration} -> ${generation}`;
}

function show(value: unknown, isPublic: boolean): string {
	switch (typeof value) {
		case "number":
		case "boolean":
		case "undefined":
			return String(value);
		case "string":
			return isPublic ? JSON.stringify(value) : `a string of ${value.length} characters`;
		case "function":
			return "a function";
		default:
			return value === null ? "null" : Array.isArray(value) ? "an array" : "an object";
	}
}
