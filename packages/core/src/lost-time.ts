import type { Clock } from "./clock.ts";

/** A tick that comes later than this was not late by chance. */
const SLACK_MILLIS = 250;

/**
 * How long this process did not run although it should have: it was stopped (SIGSTOP, a frozen container, a suspended
 * machine) or its event loop was blocked. Told by a tick that does not come in time; as nobody knows when the stop began,
 * all the time since the last sign of life counts as lost. A stop that delays no tick is not seen.
 */
export class LostTime {
	readonly #clock: Clock;
	#total = 0;
	#lastSeenAt = 0;
	#interval = Number.POSITIVE_INFINITY;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** Milliseconds lost so far. Looks at the clock: after a stop, whoever runs first gets to know. */
	get total(): number {
		return this.totalAt(this.#clock.now());
	}

	/** @param now what the clock says */
	totalAt(now: number): number {
		const unseen = now - this.#lastSeenAt;
		if (unseen > this.#interval + SLACK_MILLIS) {
			this.#total += unseen;
			this.#lastSeenAt = now;
		}
		return this.#total;
	}

	/** A sign of life; the next one is due in so many milliseconds, or, without a number, not at all. */
	expectTick(millis: number = Number.POSITIVE_INFINITY): void {
		void this.total;
		this.#lastSeenAt = this.#clock.now();
		this.#interval = millis;
	}
}
