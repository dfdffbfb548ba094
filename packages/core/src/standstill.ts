import type { Clock } from "./clock.ts";
import type { LostTime } from "./lost-time.ts";

/** How long the deadlines of those who wait have stood still: while this process did not run, and while its pool was suspended. */
export class Standstill {
	readonly #clock: Clock;
	readonly #lostTime: LostTime;
	/** Of the time suspended, what does not count as lost anyway. */
	#beyondLost = 0;
	#begun: { readonly at: number; readonly total: number } | undefined;

	constructor(clock: Clock, lostTime: LostTime) {
		this.#clock = clock;
		this.#lostTime = lostTime;
	}

	/** Milliseconds so far. @param now what the clock says */
	totalAt(now: number): number {
		if (this.#begun !== undefined) return this.#begun.total + now - this.#begun.at;
		return this.#lostTime.totalAt(now) + this.#beyondLost;
	}

	suspend(): void {
		const at = this.#clock.now();
		this.#begun = { at, total: this.totalAt(at) };
	}

	resume(): void {
		const now = this.#clock.now();
		const total = this.totalAt(now);
		this.#begun = undefined;
		this.#beyondLost = total - this.#lostTime.totalAt(now);
	}
}
