import type { Clock } from "./clock.ts";
import type { ConnectError } from "./errors.ts";

/** The first wait after a failure; each next one is twice as long, up to the longest. */
const FIRST_BACK_OFF_MILLIS = 10;
const LONGEST_BACK_OFF_MILLIS = 400;

/** How many connects may begin at the same moment. */
export interface ConnectPaceOptions {
	/** The first one of a pool is alone for so long, or until it has succeeded. */
	readonly headStartMillis: number;
	/** Never more at a time than this. 0: no limit. */
	readonly most: number;
	readonly random: () => number;
}

/**
 * When the next connect may begin: the first one is let go ahead, and after a failure that passes they are tried one at a
 * time, with back-off.
 */
export class ConnectPace {
	readonly #clock: Clock;
	readonly #options: ConnectPaceOptions;
	#notBefore = Number.NEGATIVE_INFINITY;
	#failuresInARow = 0;
	#failedAt = Number.NEGATIVE_INFINITY;
	#lastFailure: ConnectError | undefined;

	constructor(clock: Clock, options: ConnectPaceOptions) {
		this.#clock = clock;
		this.#options = options;
	}

	/** Why connects are held back; undefined while they are not. */
	get lastFailure(): ConnectError | undefined {
		return this.#lastFailure;
	}

	/**
	 * How long the next connect has to wait, in milliseconds; Infinity: until one of those in progress has ended.
	 *
	 * @param connecting so many are in progress
	 */
	millisLeft(connecting: number): number {
		const { most } = this.#options;
		const mayBegin = this.#failuresInARow > 0 ? connecting === 0 : most === 0 || connecting < most;
		if (!mayBegin) return Number.POSITIVE_INFINITY;
		if (connecting === 0 && this.#failuresInARow === 0) return 0;
		return Math.max(0, this.#notBefore - this.#clock.now());
	}

	/** @param isFirst the pool has no other connection: whoever comes first is served by this one soonest */
	began(isFirst: boolean): void {
		if (isFirst) this.#notBefore = this.#clock.now() + this.#options.headStartMillis;
	}

	/**
	 * A connect has failed, and may succeed another time.
	 *
	 * @param beganAt connects that were under way together count as one
	 */
	failed(error: ConnectError, beganAt: number): void {
		this.#lastFailure = error;
		if (beganAt <= this.#failedAt) return;
		this.#failedAt = this.#clock.now();
		const longest = Math.min(LONGEST_BACK_OFF_MILLIS, FIRST_BACK_OFF_MILLIS * 2 ** this.#failuresInARow);
		this.#failuresInARow++;
		// At least half of it, so that a server that is down is not asked in a tight loop.
		this.#notBefore = this.#clock.now() + longest * (0.5 + 0.5 * this.#options.random());
	}

	/** Forgets what has happened: a connect has succeeded, or this is another process, which has its own luck. */
	reset(): void {
		this.#notBefore = Number.NEGATIVE_INFINITY;
		this.#failedAt = Number.NEGATIVE_INFINITY;
		this.#failuresInARow = 0;
		this.#lastFailure = undefined;
	}
}
