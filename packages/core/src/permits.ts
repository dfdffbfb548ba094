/**
 * Who says whether one more connection may be opened: the budget of a machine, of which every pool is a part. A permit is taken
 * before a connect begins, and given back, once, when the connection has ended. In a copy of the process nothing is given back:
 * the permits are the original's.
 */
export interface Permits {
	/**
	 * Takes a permit, at once (undefined) or when the promise resolves. When `signal` is aborted it is not needed any more: then
	 * the promise rejects, and a permit that comes all the same is given back. What it rejects with otherwise is told to whoever
	 * waits for the connection.
	 */
	acquire(signal: AbortSignal): Promise<void> | void;
	/** Gives one back. */
	release(): void;
	/**
	 * Whether a connection is to be ended because others need its permit. `true` is a promise to end it, so it counts once.
	 *
	 * @param idleMillis since when it has been seen idle; 0 if only just
	 */
	isWanted?(idleMillis: number): boolean;
	/**
	 * Calls `listener` when others need permits: a pool then asks about its idle connections at once, and about each of the others
	 * when it comes back.
	 *
	 * @returns a function that removes the listener
	 */
	onWanted?(listener: () => void): () => void;
}

/** As many as the pool's own `max` allows. */
export const unlimitedPermits: Permits = { acquire: () => {}, release: () => {} };

/** What is wrong with them; undefined when they can be used. */
export function permitsFlaw(value: unknown): string | undefined {
	const { acquire, release } = (typeof value === "object" && value !== null ? value : {}) as Partial<Permits>;
	const isRight = typeof acquire === "function" && typeof release === "function";
	return isRight ? undefined : "must be an object with the methods acquire and release";
}
