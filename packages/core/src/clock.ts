/** A running timer, as {@link Clock.setTimeout} returns it. */
export interface Timer {
	/** Lets the process exit while the timer runs. */
	unref(): unknown;
}

/** Where a pool takes time from. Tests put a clock of their own in its place. */
export interface Clock {
	/** Milliseconds that never go backwards within one generation. Not comparable across generations: a restored snapshot starts anew. */
	now(): number;
	/** The time of day in milliseconds: it goes on while a machine is suspended, and can be set, also back. */
	wallNow(): number;
	/** Calls `callback` once after `millis`. */
	setTimeout(callback: () => void, millis: number): Timer;
	/** Stops a timer; one that has fired is left alone. */
	clearTimeout(timer: Timer): void;
}

/** The clock of the process. */
export const systemClock: Clock = {
	now: () => performance.now(),
	wallNow: () => Date.now(),
	setTimeout: (callback, millis) => setTimeout(callback, millis),
	clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
