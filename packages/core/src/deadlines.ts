import type { Clock } from "./clock.ts";
import type { LostTime } from "./lost-time.ts";

/** Whose deadlines they are. */
interface Owner {
	/** As last known. */
	generation(): number;
	/** Looks who this process is, and brings the generation up to date. */
	look(): void;
}

/** What to do when time is up, in the process that has set the deadline and in no copy of it. */
export class Deadlines {
	readonly #clock: Clock;
	readonly #lostTime: LostTime;
	readonly #owner: Owner;

	constructor(clock: Clock, lostTime: LostTime, owner: Owner) {
		this.#clock = clock;
		this.#lostTime = lostTime;
		this.#owner = owner;
	}

	/**
	 * Calls `action` after `millis` in which the process ran: while it was stopped, what is waited for could not come
	 * either. 0: never.
	 *
	 * @returns a function that stops it
	 */
	start(millis: number, action: () => void): () => void {
		if (millis === 0) return nothing;
		const clock = this.#clock;
		const generation = this.#owner.generation();
		const due = clock.now() + millis - this.#lostTime.total;
		const onTimer = (): void => {
			this.#owner.look();
			if (this.#owner.generation() !== generation) return;
			const left = due + this.#lostTime.total - clock.now();
			if (left >= 1) timer = clock.setTimeout(onTimer, left);
			else action();
		};
		let timer = clock.setTimeout(onTimer, millis);
		return () => clock.clearTimeout(timer);
	}
}

function nothing(): void {}
