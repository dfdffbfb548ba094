import { FakeConnection } from "./fake-connection.ts";
import type { Subject } from "./pool-subjects.ts";

interface Waiting {
	resolve: (connection: FakeConnection) => void;
	previous: Waiting | undefined;
	next: Waiting | undefined;
}

/**
 * What a pool cannot do without: a stack of connections, a queue of those who wait, one promise for each who asks. Its
 * time is that of the loop around it and of its `await`.
 */
export class BarePool implements Subject<FakeConnection> {
	readonly #idle: FakeConnection[];
	readonly #look: () => void;
	#first: Waiting | undefined;
	#last: Waiting | undefined;

	constructor(connections: number, look: () => void = () => {}) {
		this.#idle = Array.from({ length: connections }, () => new FakeConnection());
		this.#look = look;
	}

	acquire(signal?: AbortSignal): Promise<FakeConnection> {
		this.#look();
		const connection = this.#idle.pop();
		if (connection !== undefined) return Promise.resolve(connection);
		return this.#wait(signal);
	}

	release(connection: FakeConnection): void {
		const waiting = this.#first;
		if (waiting === undefined) {
			this.#idle.push(connection);
		} else {
			this.#remove(waiting);
			waiting.resolve(connection);
		}
	}

	/** A method of its own: with a closure in `acquire`, that would cost memory even where nobody waits. */
	#wait(signal: AbortSignal | undefined): Promise<FakeConnection> {
		return new Promise((resolve, reject) => {
			const waiting: Waiting = { resolve, previous: this.#last, next: undefined };
			if (this.#last === undefined) this.#first = waiting;
			else this.#last.next = waiting;
			this.#last = waiting;
			if (signal !== undefined) this.#watch(signal, waiting, reject);
		});
	}

	#watch(signal: AbortSignal, waiting: Waiting, reject: (reason: unknown) => void): void {
		const giveUp = (): void => {
			this.#remove(waiting);
			reject(signal.reason);
		};
		signal.addEventListener("abort", giveUp, { once: true });
	}

	#remove({ previous, next }: Waiting): void {
		if (previous === undefined) this.#first = next;
		else previous.next = next;
		if (next === undefined) this.#last = previous;
		else next.previous = previous;
	}
}
