import type { Clock } from "./clock.ts";
import { type Queued, WaitQueue } from "./wait-queue.ts";

/** So many give up in one turn of the event loop. When thousands do at once, others have their turn meanwhile. */
export const MOST_IN_A_TURN = 500;

/** Whose deadlines they are. */
interface Owner {
	/** As last known. */
	generation(): number;
	/** Looks who this process is, and brings the generation up to date. */
	look(): void;
}

/** The time that does not count: LostTime, or Standstill for those who wait. */
interface TimeOut {
	totalAt(now: number): number;
}

interface Deadline extends Queued<Deadline> {
	expire(): void;
}

/** What to do when time is up, in the process that has set the deadline and in no copy of it. */
export class Deadlines {
	readonly #clock: Clock;
	readonly #timeOut: TimeOut;
	readonly #owner: Owner;
	#inThisTurn = 0;
	readonly #overdue = new WaitQueue<Deadline>();

	constructor(clock: Clock, timeOut: TimeOut, owner: Owner) {
		this.#clock = clock;
		this.#timeOut = timeOut;
		this.#owner = owner;
	}

	/**
	 * Calls `action` after `millis` of the time that counts: while the process was stopped, what is waited for could not come
	 * either. 0: never.
	 *
	 * @returns a function that stops it
	 */
	start(millis: number, action: () => void): () => void {
		if (millis === 0) return nothing;
		const clock = this.#clock;
		const generation = this.#owner.generation();
		const now = clock.now();
		const due = now + millis - this.#timeOut.totalAt(now);
		const deadline: Deadline = {
			previous: undefined,
			next: undefined,
			expire: () => {
				this.#owner.look();
				if (!isStopped && this.#owner.generation() === generation) action();
			},
		};
		let isStopped = false;
		const onTimer = (): void => {
			if (this.#owner.generation() !== generation) return;
			const now = clock.now();
			const left = due + this.#timeOut.totalAt(now) - now;
			if (left >= 1) timer = clock.setTimeout(onTimer, left);
			else this.#expire(deadline);
		};
		let timer = clock.setTimeout(onTimer, millis);
		return () => {
			isStopped = true;
			clock.clearTimeout(timer);
		};
	}

	#expire(deadline: Deadline): void {
		if (this.#inThisTurn === MOST_IN_A_TURN) {
			this.#overdue.push(deadline);
			return;
		}
		if (this.#inThisTurn++ === 0) setImmediate(() => this.#nextTurn());
		deadline.expire();
	}

	#nextTurn(): void {
		this.#inThisTurn = 0;
		if (this.#overdue.size === 0) return;
		setImmediate(() => this.#nextTurn());
		while (this.#inThisTurn < MOST_IN_A_TURN) {
			const deadline = this.#overdue.shift();
			if (deadline === undefined) return;
			this.#inThisTurn++;
			deadline.expire();
		}
	}
}

function nothing(): void {}
