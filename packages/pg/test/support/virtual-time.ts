import { settle } from "../../../../test/support/promises.ts";

interface Timer {
	readonly at: number;
	readonly callback: () => void;
}

/** Everything that was started ends, streams and ticks included, but no timer fires. */
export async function settleAll(): Promise<void> {
	for (let turn = 0; turn < 3; turn++) await settle();
}

/**
 * Takes the place of the global timers, of `performance.now` and of `Date.now`, so that pg-pool, pg and forksafe see one time, which
 * stands still until it is told to pass.
 */
export class VirtualTime {
	#now = 1;
	readonly #timers = new Set<Timer>();
	readonly #real = { setTimeout, clearTimeout, now: performance.now, date: Date.now };

	install(): this {
		globalThis.setTimeout = ((callback: (...args: unknown[]) => void, millis = 0, ...args: unknown[]) => {
			const timer = { at: this.#now + millis, callback: () => callback(...args), ref: () => timer, unref: () => timer };
			this.#timers.add(timer);
			return timer;
		}) as never;
		globalThis.clearTimeout = ((timer: Timer) => this.#timers.delete(timer)) as never;
		performance.now = Date.now = () => this.#now;
		return this;
	}

	uninstall(): void {
		globalThis.setTimeout = this.#real.setTimeout;
		globalThis.clearTimeout = this.#real.clearTimeout;
		performance.now = this.#real.now;
		Date.now = this.#real.date;
	}

	/** Nothing that was to happen happens any more. */
	forget(): void {
		this.#timers.clear();
	}

	/** Timers fire one by one, and what they cause is over before the next one fires, as it is in Node. */
	async pass(millis: number, afterEach: () => void = () => {}): Promise<void> {
		const until = this.#now + millis;
		for (let timer = this.#next(until); timer !== undefined; timer = this.#next(until)) {
			this.#timers.delete(timer);
			this.#now = timer.at;
			timer.callback();
			await settleAll();
			afterEach();
		}
		this.#now = until;
	}

	#next(until: number): Timer | undefined {
		let next: Timer | undefined;
		for (const timer of this.#timers) if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
		return next;
	}
}
