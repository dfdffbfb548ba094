import { type AcquireRequest, type Queued, withoutStack } from "@forksafe/core";
import { TimeoutError } from "tarn";

/** A request to the engine. It brings some resource, and whoever is first in line takes it. */
export interface Ticket<R> {
	readonly request: AcquireRequest<R>;
	acquire: Acquire<R>;
}

/** What `acquire()` returns: the members of tarn's PendingOperation, which tarn does not export. */
export class Acquire<R> implements Queued<Acquire<R>> {
	/** @internal Its neighbours in line. */
	previous: Acquire<R> | undefined = undefined;
	/** @internal */
	next: Acquire<R> | undefined = undefined;
	/** @internal Whether it stands in line. */
	isInLine = false;
	/** @internal Who has asked, for the detection of leaks. */
	holder: Error | undefined = undefined;
	promise: Promise<R>;
	isRejected = false;
	/** Why a create failed while this one waited: what it is told when its time is up. */
	possibleTimeoutCause: Error | null = null;
	readonly timeoutMillis: number;
	/** @internal Since when its time runs, in milliseconds of `performance.now()`: it does not, while it has a resource in prospect. */
	since = 0;
	/** @internal While it waits, and is not being validated for. */
	ticket: Ticket<R> | undefined = undefined;
	/** @internal Lets go of what it waited for. */
	onRejected: () => void = () => {};
	/** @internal Stops the time that a validation may take. */
	stopValidating: (() => void) | undefined = undefined;
	/** @internal Its time is up. */
	onTimeout: () => void = () => {};
	/** @internal */
	isPending = true;
	readonly #deferred = Promise.withResolvers<R>();
	#stopDeadline: (() => void) | undefined;

	constructor(timeoutMillis: number) {
		this.timeoutMillis = timeoutMillis;
		this.promise = this.#deferred.promise;
	}

	/**
	 * @internal Its time runs from now on, if it does not yet.
	 *
	 * @param start calls back when a time is up, and returns what stops that
	 */
	startDeadline(start: (millis: number, action: () => void) => () => void): void {
		if (this.#stopDeadline !== undefined || !this.isPending) return;
		this.since = performance.now();
		this.#stopDeadline = start(this.timeoutMillis, () => this.onTimeout());
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
		const { possibleTimeoutCause } = this;
		return withoutStack(() => Object.assign(new TimeoutError(possibleTimeoutCause.message), { cause: reason.cause }));
	}

	#settle(): void {
		this.isPending = false;
		this.#stopDeadline?.();
	}
}
