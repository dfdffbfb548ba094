import type { Clock } from "./clock.ts";

/** A tick that comes later than this was not late by chance. */
const SLACK_MILLIS = 250;

/**
 * How long this process did not run although it should have: it was stopped (SIGSTOP, a frozen container, a suspended
 * machine) or its event loop was blocked. Told by a tick that does not come in time; as nobody knows when the stop began, all
 * the time since the last look counts as lost. A stop that delays no tick is not seen.
 */
export class LostTime {
	readonly #clock: Clock;
	#total = 0;
	#lastLookAt = 0;
	#tickDueAt = Number.POSITIVE_INFINITY;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/**
	 * Milliseconds lost so far: after a stop, whoever runs first gets to know.
	 *
	 * @param now what the clock says; nobody who looked before loses more than the time since
	 */
	totalAt(now: number): number {
		if (now > this.#tickDueAt + SLACK_MILLIS) this.#total += now - this.#lastLookAt;
		this.#lastLookAt = now;
		return this.#total;
	}

	/** The next tick is due in so many milliseconds, or, without a number, not at all. */
	expectTick(millis: number = Number.POSITIVE_INFINITY): void {
		const now = this.#clock.now();
		this.totalAt(now);
		this.#tickDueAt = now + millis;
	}
}
