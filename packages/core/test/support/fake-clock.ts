import { settle } from "../../../../test/support/promises.ts";
import type { Clock, Timer } from "../../src/clock.ts";

interface FakeTimer extends Timer {
	readonly at: number;
	readonly callback: () => void;
	holdsProcess: boolean;
}

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
	#now = 1_000;
	#setBy = 1_700_000_000_000;
	readonly #timers = new Set<FakeTimer>();

	now(): number {
		return this.#now;
	}

	wallNow(): number {
		return this.#now + this.#setBy;
	}

	/** Sets the time of day; the other clock goes on as it was. */
	setWallBy(millis: number): void {
		this.#setBy += millis;
	}

	setTimeout(callback: () => void, millis: number): Timer {
		const timer: FakeTimer = {
			at: this.#now + millis,
			callback,
			holdsProcess: true,
			unref() {
				timer.holdsProcess = false;
			},
		};
		this.#timers.add(timer);
		return timer;
	}

	clearTimeout(timer: Timer): void {
		this.#timers.delete(timer as FakeTimer);
	}

	/** How many timers run. */
	get running(): number {
		return this.#timers.size;
	}

	/** How many of them keep the process alive. */
	get holdingProcess(): number {
		return [...this.#timers].filter((timer) => timer.holdsProcess).length;
	}

	/** Lets time pass; every timer fires at its time, and what it causes happens before the next one fires. */
	async advance(millis: number): Promise<void> {
		await settle();
		const end = this.#now + millis;
		for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
			this.#now = Math.max(this.#now, timer.at);
			this.#timers.delete(timer);
			timer.callback();
			await settle();
		}
		this.#now = end;
		await settle();
	}

	/** All timers that are due fire one after the other without anything in between, as after a stopped process goes on. */
	jump(millis: number): void {
		this.#now += millis;
		for (let timer = this.#next(this.#now); timer !== undefined; timer = this.#next(this.#now)) {
			this.#timers.delete(timer);
			timer.callback();
		}
	}

	/** The timer that is due first, at `end` at the latest; of two at the same time the one that was set first. */
	#next(end: number): FakeTimer | undefined {
		let first: FakeTimer | undefined;
		for (const timer of this.#timers) if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer;
		return first;
	}
}
