import type { ConnectError, PoolCounts } from "./errors.ts";
import type { Leak } from "./leak-watch.ts";
import type { ProcessChange } from "./process-change.ts";

/**
 * `open` hands out connections; `suspended` hands out none until it is resumed, and lets those in use finish; `draining` waits
 * for those in use to come back; `closed` has none left.
 */
export type PoolState = "open" | "suspended" | "draining" | "closed";

/** How one acquire differs from the others. */
export interface AcquireOptions {
	/** Gives the acquire up: it leaves the queue at once and rejects with the signal's reason. The connect goes on for others. */
	signal?: AbortSignal;
	/** In place of `acquireTimeoutMillis`. 0: never. */
	timeoutMillis?: number;
}

/** What `request()` returns. */
export interface AcquireRequest<R> {
	/** Rejects as that of `acquire` does, but for a time-out. */
	readonly promise: Promise<R>;
	/** Leaves the queue at once and rejects with `reason`; the connect goes on for others. Does nothing to one that is settled. */
	abandon(reason: unknown): void;
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
