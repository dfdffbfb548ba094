import type { ProcessChange } from "./process-identity.ts";

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
	/** Asks whether a connection that has been idle can be used. Without it, `isAlive` decides alone. */
	validate?(resource: R): Promise<boolean> | boolean;
	/** Ends a connection of this process politely. */
	destroy(resource: R): Promise<void> | void;
	/** Forgets a connection that another process has opened: synchronously, without a byte, a FIN or an exception. */
	discard(resource: R, change: ProcessChange): void;
}
