import { knownGeneration } from "@forksafe/core";
import { TimeoutError } from "tarn";

/** A request to the engine. It brings some resource, and whoever is first in line takes it. */
export interface Ticket<R> {
	readonly abort: AbortController;
	acquire: Acquire<R>;
}

/** What `acquire()` returns: the members of tarn's PendingOperation, which tarn does not export. */
export class Acquire<R> {
	promise: Promise<R>;
	isRejected = false;
	/** Why a create failed while this one waited: what it is told when its time is up. */
	possibleTimeoutCause: Error | null = null;
	readonly timeoutMillis: number;
	/** @internal Milliseconds of `performance.now()`. */
	readonly since: number = performance.now();
	/** @internal While it waits, and is not being validated for. */
	ticket: Ticket<R> | undefined = undefined;
	/** @internal Lets go of what it waited for. */
	onRejected: () => void = () => {};
	/** @internal */
	isPending = true;
	/** @internal An acquire of another process is not this one's to time out. */
	readonly generation: number = knownGeneration();
	readonly #deferred = Promise.withResolvers<R>();
	#timer: NodeJS.Timeout | undefined;

	/** @param timeoutMillis 0: never */
	constructor(timeoutMillis: number, onTimeout: (acquire: Acquire<R>) => void) {
		this.timeoutMillis = timeoutMillis;
		this.promise = this.#deferred.promise;
		if (timeoutMillis > 0) this.#timer = setTimeout(() => onTimeout(this), timeoutMillis);
	}

	abort(): void {
		this.reject(new Error("aborted"));
	}

	reject(reason: unknown): void {
		if (!this.isPending) return;
		this.#settle();
		this.isRejected = true;
		this.#deferred.reject(this.#explained(reason));
		this.onRejected();
	}

	resolve(resource: R): void {
		if (!this.isPending) return;
		this.#settle();
		this.#deferred.resolve(resource);
	}

	#explained(reason: unknown): unknown {
		if (!(reason instanceof TimeoutError) || this.possibleTimeoutCause === null) return reason;
		return Object.assign(new TimeoutError(this.possibleTimeoutCause.message), { cause: reason.cause });
	}

	#settle(): void {
		this.isPending = false;
		clearTimeout(this.#timer);
	}
}
