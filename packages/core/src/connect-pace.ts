import type { Clock } from "./clock.ts";
import type { ConnectError } from "./errors.ts";

/** The first wait after a failure; each next one is twice as long, up to the longest. */
const FIRST_BACK_OFF_MILLIS = 10;
const LONGEST_BACK_OFF_MILLIS = 400;

/**
 * When the next connect may begin: not all at the same moment, and after failures that pass one at a time, with back-off.
 */
export class ConnectPace {
	readonly #clock: Clock;
	readonly #random: () => number;
	readonly #intervalMillis: number;
	#notBefore = Number.NEGATIVE_INFINITY;
	#failuresInARow = 0;
	#failedAt = Number.NEGATIVE_INFINITY;
	#lastFailure: ConnectError | undefined;

	constructor(clock: Clock, random: () => number, intervalMillis: number) {
		this.#clock = clock;
		this.#random = random;
		this.#intervalMillis = intervalMillis;
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
		if (this.#failuresInARow === 0) {
			if (connecting === 0 || this.#intervalMillis === 0) return 0;
		} else if (connecting > 0) {
			return Number.POSITIVE_INFINITY;
		}
		return Math.max(0, this.#notBefore - this.#clock.now());
	}

	began(): void {
		this.#notBefore = this.#clock.now() + this.#intervalMillis;
	}

	succeeded(): void {
		this.reset();
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
		this.#notBefore = this.#clock.now() + longest * (0.5 + 0.5 * this.#random());
	}

	/** Forgets what has happened: another process has its own luck. */
	reset(): void {
		this.#notBefore = Number.NEGATIVE_INFINITY;
		this.#failedAt = Number.NEGATIVE_INFINITY;
		this.#failuresInARow = 0;
		this.#lastFailure = undefined;
	}
}
