/** `pending` until it is settled, once, as one of the others. */
export type WaiterState = "pending" | "granted" | "timed out" | "aborted" | "rejected";

/** Somebody who waits for a connection. */
export class Waiter<R> implements Queued<Waiter<R>> {
	state: WaiterState = "pending";
	readonly promise: Promise<R>;
	/** When it began to wait, in milliseconds of the pool's clock. */
	readonly since: number;
	/** So long it is willing to wait. 0: for ever. */
	readonly timeoutMillis: number;
	/** When its time is up, if that is watched for all who wait as long (wait-deadline.ts). */
	dueAt: number | undefined = undefined;
	/** Stops a deadline of its own and takes its listener off the abort signal. */
	stopWatching: (() => void) | undefined = undefined;
	previous: Waiter<R> | undefined = undefined;
	next: Waiter<R> | undefined = undefined;
	#resolve!: (resource: R) => void;
	#reject!: (reason: unknown) => void;

	constructor(since: number, timeoutMillis: number) {
		this.since = since;
		this.timeoutMillis = timeoutMillis;
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
		this.stopWatching?.();
	}
}

/** What can stand in a {@link WaitQueue}: in one at a time. */
export interface Queued<N> {
	/** Its neighbours in the queue; both undefined while it is in none. */
	previous: N | undefined;
	next: N | undefined;
}

/** First come, first served; joining at either end, serving and leaving from the middle take constant time. */
export class WaitQueue<N extends Queued<N>> {
	size = 0;
	#first: N | undefined = undefined;
	#last: N | undefined = undefined;

	/** Who has waited longest. */
	get first(): N | undefined {
		return this.#first;
	}

	push(node: N): void {
		node.previous = this.#last;
		if (this.#last === undefined) this.#first = node;
		else this.#last.next = node;
		this.#last = node;
		this.size++;
	}

	/** Puts back at the front who was taken out too early. */
	unshift(node: N): void {
		node.next = this.#first;
		if (this.#first === undefined) this.#last = node;
		else this.#first.previous = node;
		this.#first = node;
		this.size++;
	}

	/** Takes out who has waited longest. */
	shift(): N | undefined {
		const first = this.#first;
		if (first !== undefined) this.remove(first);
		return first;
	}

	/** Takes out a node that is in this queue. */
	remove(node: N): void {
		const { previous, next } = node;
		if (previous === undefined) this.#first = next;
		else previous.next = next;
		if (next === undefined) this.#last = previous;
		else next.previous = previous;
		node.previous = node.next = undefined;
		this.size--;
	}

	/** From the first to the last. Nobody may join or leave meanwhile: copy it before calling anybody. */
	*[Symbol.iterator](): Generator<N, void, undefined> {
		for (let node = this.#first; node !== undefined; node = node.next) yield node;
	}
}
