import { createRequire } from "node:module";
import { settle } from "../../../../test/support/promises.ts";

/** A timer of {@link FakeTimers}. */
class FakeTimer {
	due: number;
	readonly #action: () => void;
	/** Of an interval. */
	readonly #period: number | undefined;

	constructor(action: () => void, due: number, period?: number) {
		this.#action = action;
		this.due = due;
		this.#period = period;
	}

	/** @returns whether it will run again */
	run(): boolean {
		if (this.#period !== undefined) this.due += this.#period;
		this.#action();
		return this.#period !== undefined;
	}

	unref(): this {
		return this;
	}
}

/** tarn takes this one from the module, and the others from `globalThis`. */
const timersModule = createRequire(import.meta.url)("node:timers") as { clearInterval: unknown };

/** Time that passes when it is told to, for everything that takes time from `globalThis`. */
export class FakeTimers {
	now = 1_000_000;
	readonly #running = new Set<FakeTimer>();
	readonly #real = {
		setTimeout: globalThis.setTimeout,
		setInterval: globalThis.setInterval,
		clearTimeout: globalThis.clearTimeout,
		clearInterval: globalThis.clearInterval,
		dateNow: Date.now,
		performanceNow: performance.now,
		ofModule: timersModule.clearInterval,
	};

	install(): void {
		const start = (action: () => void, millis: number, period?: number): FakeTimer => {
			const timer = new FakeTimer(action, this.now + millis, period);
			this.#running.add(timer);
			return timer;
		};
		const clear = (timer: FakeTimer): void => void this.#running.delete(timer);
		Object.assign(globalThis, {
			setTimeout: (action: () => void, millis = 0) => start(action, millis),
			setInterval: (action: () => void, millis: number) => start(action, millis, millis),
			clearTimeout: clear,
			clearInterval: clear,
		});
		timersModule.clearInterval = clear;
		Date.now = () => this.now;
		performance.now = () => this.now;
	}

	uninstall(): void {
		const { dateNow, performanceNow, ofModule, ...timers } = this.#real;
		Object.assign(globalThis, timers);
		timersModule.clearInterval = ofModule;
		Date.now = dateNow;
		performance.now = performanceNow;
	}

	/** Everything happens that is due until then, each timer after what the one before has caused. */
	async pass(millis: number): Promise<void> {
		const end = this.now + millis;
		await settle();
		for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
			this.now = Math.max(this.now, timer.due);
			if (!timer.run()) this.#running.delete(timer);
			await settle();
		}
		this.now = end;
		// And what waits for the end of all that.
		await settle();
	}

	#next(end: number): FakeTimer | undefined {
		let next: FakeTimer | undefined;
		for (const timer of this.#running) if (timer.due <= end && (next === undefined || timer.due < next.due)) next = timer;
		return next;
	}
}
