/** `pending` until it is settled, once, as one of the others. */
export type WaiterState = "pending" | "granted" | "timed out" | "aborted" | "rejected";

/** Somebody who waits for a connection. */
export class Waiter<R> {
	state: WaiterState = "pending";
	readonly promise: Promise<R>;
	/** When it began to wait, in milliseconds of the pool's clock. */
	readonly since: number;
	/** Stops its deadline and takes its listener off the abort signal. */
	stopWatching: () => void = nothing;
	/** Its neighbours in the queue. */
	previous: Waiter<R> | undefined = undefined;
	next: Waiter<R> | undefined = undefined;
	#resolve!: (resource: R) => void;
	#reject!: (reason: unknown) => void;

	constructor(since: number) {
		this.since = since;
		this.promise = new Promise((resolve, reject) => {
			this.#resolve = resolve;
			this.#reject = reject;
		});
	}

	grant(resource: R): void {
		this.#settle("granted");
		this.#resolve(resource);
	}

	fail(state: "timed out" | "aborted" | "rejected", reason: unknown): void {
		this.#settle(state);
		this.#reject(reason);
	}

	#settle(state: WaiterState): void {
		if (this.state !== "pending") throw new Error(`bug: a waiter that is ${this.state} cannot become ${state}`);
		this.state = state;
		this.stopWatching();
	}
}

/** First come, first served; joining, serving and leaving from the middle take constant time. */
export class WaitQueue<R> {
	size = 0;
	#first: Waiter<R> | undefined = undefined;
	#last: Waiter<R> | undefined = undefined;

	push(waiter: Waiter<R>): void {
		waiter.previous = this.#last;
		if (this.#last === undefined) this.#first = waiter;
		else this.#last.next = waiter;
		this.#last = waiter;
		this.size++;
	}

	/** Takes out who has waited longest. */
	shift(): Waiter<R> | undefined {
		const first = this.#first;
		if (first !== undefined) this.remove(first);
		return first;
	}

	/** Takes out a waiter that is in this queue. */
	remove(waiter: Waiter<R>): void {
		const { previous, next } = waiter;
		if (previous === undefined) this.#first = next;
		else previous.next = next;
		if (next === undefined) this.#last = previous;
		else next.previous = previous;
		waiter.previous = waiter.next = undefined;
		this.size--;
	}
}

function nothing(): void {}
