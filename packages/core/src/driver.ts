import type { ProcessChange } from "./process-change.ts";

/**
 * How a pool opens, judges and ends connections of one kind. One physical connection is one new object: a driver never
 * returns the same object twice.
 */
export interface Driver<R extends object> {
	/**
	 * Opens a connection, set-up included: what can fail happens here.
	 *
	 * @param signal aborted when the connection is not wanted any more (its time is up, the pool closes, the process
	 * changed); the driver then gives the socket up **without writing to it** and rejects
	 */
	connect(signal: AbortSignal): Promise<R> | R;
	/** Whether the connection can still be used, as far as is known without asking the server. Called on every acquire. */
	isAlive(resource: R): boolean;
	/**
	 * Asks the server whether a connection that has been idle can be used. Without it, `isAlive` decides alone.
	 *
	 * @param signal aborted when the answer is not awaited any more; the driver then gives the socket up without waiting for
	 * the server, so that `destroy` ends at once
	 */
	validate?(resource: R, signal: AbortSignal): Promise<boolean> | boolean;
	/**
	 * Whether a connect that has failed may well succeed soon without anybody's doing: the pool then tries again, with
	 * back-off, as long as somebody waits. Without it, every failure is final.
	 *
	 * @param hasConnected whether the pool has ever opened a connection: a server that was never there is a mistake, one that
	 * has gone comes back
	 */
	isTransient?(error: unknown, hasConnected: boolean): boolean;
	/** The connection is handed out: it keeps the process alive. Without it, connections do as the driver has made them. */
	ref?(resource: R): void;
	/** The connection is idle: it lets the process exit. */
	unref?(resource: R): void;
	/** Ends a connection of this process politely. */
	destroy(resource: R): Promise<void> | void;
	/**
	 * Forgets a connection that another process has opened: synchronously, without a byte, a FIN or an exception
	 * (`discardStream` does so with a socket).
	 */
	discard(resource: R, change: ProcessChange): void;
}
