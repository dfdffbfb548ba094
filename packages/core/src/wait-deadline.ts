import type { Clock, Timer } from "./clock.ts";
import { MOST_IN_A_TURN } from "./deadlines.ts";
import type { Standstill } from "./standstill.ts";
import type { Waiter, WaitQueue } from "./wait-queue.ts";

/** Fires in the next turn of the event loop. */
const SHORTEST_TIMER_MILLIS = 1;

/** Whose waiters they are. */
interface Owner<R> {
	/** Looks who this process is: what waits in another one is taken out of the queue. */
	look(): void;
	/** Its time is up; it has to leave the queue. */
	timedOut(waiter: Waiter<R>): void;
}

/**
 * One timer for all who are willing to wait equally long: their time is up in the order in which they came. (A timer for
 * each costs more than all the rest of waiting.)
 */
export class WaitDeadline<R> {
	readonly #clock: Clock;
	readonly #standstill: Standstill;
	readonly #queue: WaitQueue<Waiter<R>>;
	readonly #timeoutMillis: number;
	readonly #owner: Owner<R>;
	#timer: Timer | undefined;

	constructor(clock: Clock, standstill: Standstill, queue: WaitQueue<Waiter<R>>, timeoutMillis: number, owner: Owner<R>) {
		this.#clock = clock;
		this.#standstill = standstill;
		this.#queue = queue;
		this.#timeoutMillis = timeoutMillis;
		this.#owner = owner;
	}

	/** Somebody has joined the queue. */
	joined(waiter: Waiter<R>): void {
		waiter.dueAt = waiter.since + this.#timeoutMillis - this.#standstill.totalAt(waiter.since);
		this.#timer ??= this.#clock.setTimeout(() => this.#onTimer(), this.#timeoutMillis);
	}

	/** Nobody waits any more. */
	stop(): void {
		if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
		this.#timer = undefined;
	}

	#onTimer(): void {
		this.#timer = undefined;
		this.#owner.look();
		const now = this.#clock.now();
		const lost = this.#standstill.totalAt(now);
		let timedOut = 0;
		for (let waiter = this.#queue.first, next = waiter?.next; waiter !== undefined; waiter = next, next = waiter?.next) {
			if (waiter.dueAt === undefined) continue;
			const left = waiter.dueAt + lost - now;
			const isCrowded = ++timedOut > MOST_IN_A_TURN;
			if (left >= 1 || isCrowded) {
				this.#timer ??= this.#clock.setTimeout(() => this.#onTimer(), isCrowded ? SHORTEST_TIMER_MILLIS : left);
				return;
			}
			this.#owner.timedOut(waiter);
			// Others may have left with it.
			if (next !== undefined && next.state !== "pending") next = this.#queue.first;
		}
	}
}
