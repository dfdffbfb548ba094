import {
	ConnectError,
	type Driver,
	knownGeneration,
	lastProcessChange,
	type ProcessChange,
	type WaitQueue,
} from "@forksafe/core";
import { TimeoutError } from "tarn";
import type { Acquire } from "./tarn-acquire.ts";
import type { Callback, TarnPoolOptions } from "./tarn-options.ts";

/** What the driver asks of the pool that it works for. */
export interface Host<R> {
	emit(event: string, ...args: unknown[]): void;
	nextEventId(): number;
	/** Looks who this process is: what another process has begun is aborted. */
	look(): void;
	/** Calls back after a time in which the process ran; returns what stops it. 0: never. */
	startDeadline(millis: number, action: () => void): () => void;
	warn(what: string, error: unknown): void;
	/** Those for whom a resource has to be found, the first in line first. */
	waiting(): WaitQueue<Acquire<R>>;
	/** How many would wait for nothing if one create were given up. */
	wouldBeUnserved(): number;
}

const DEFAULT_TIMEOUT_MILLIS = 30_000;
const DEFAULT_RETRY_INTERVAL_MILLIS = 200;

/** Creates and destroys with the functions of tarn's options, and reports it by tarn's events. */
export class TarnDriver<R extends object> implements Driver<R> {
	/** Creates in progress, without those that wait for their next try or were given up. */
	creating = 0;
	/** How many creates were ever begun. */
	begun = 0;
	/** Creates that have failed and wait to be tried again: for a retry timer, or for an acquire that cannot wait. */
	readonly #failed = new Set<() => void>();
	readonly #endings = new WeakMap<R, { readonly eventId: number; isOver: boolean }>();
	/** Absent where there is nothing to ask or to do, as the engine wants it. */
	readonly validate?: (resource: R, signal: AbortSignal) => Promise<boolean>;
	readonly ref?: (resource: R) => void;
	readonly unref?: (resource: R) => void;
	#hasCreated = false;
	readonly #options: TarnPoolOptions<R>;
	readonly #destroyTimeoutMillis: number;
	readonly #host: () => Host<R>;

	constructor(options: TarnPoolOptions<R>, host: () => Host<R>) {
		this.#options = options;
		this.#destroyTimeoutMillis = options.destroyTimeoutMillis ?? 5_000;
		this.#host = host;
		const { ping, ref, unref } = options;
		if (ping !== undefined) this.validate = async (resource, signal) => ping(resource, signal);
		if (ref !== undefined) this.ref = ref;
		if (unref !== undefined) this.unref = unref;
	}

	isTransient(error: unknown): boolean {
		return this.#options.isTransient?.(error, this.#hasCreated) === true;
	}

	/** Goes on as long as somebody waits for it: the engine has no retries, and would reject who waits. */
	async connect(signal: AbortSignal): Promise<R> {
		for (;;) {
			const attempt = new Attempt<R>(this.#options, this.#host(), (error) => this.isTransient(error));
			this.begun++;
			this.creating++;
			try {
				const resource = await attempt.run(signal, () => this.creating--);
				this.#hasCreated = true;
				return resource;
			} catch (error) {
				// The engine tries again.
				if (signal.aborted || this.isTransient(error)) throw error;
				const turn = this.#nextTurn(signal);
				// It counts against `max` until it has gone.
				await atMost(this.#destroyTimeoutMillis, attempt.gone, signal);
				const isNeeded = this.#host().wouldBeUnserved() > 0;
				if (isNeeded) await turn.promise;
				this.#failed.delete(turn.resolve);
				if (signal.aborted || !isNeeded || this.creating >= this.#host().waiting().size) throw error;
			}
		}
	}

	/** Whether a create that has failed waits for its next try. */
	get hasFailed(): boolean {
		return this.#failed.size > 0;
	}

	/** Tries a failed create again, if there is one. */
	retry(): void {
		for (const resolve of this.#failed) {
			this.#failed.delete(resolve);
			resolve();
			return;
		}
	}

	isAlive(): boolean {
		return true;
	}

	async destroy(resource: R): Promise<void> {
		const ending = { eventId: this.#host().nextEventId(), isOver: false };
		this.#endings.set(resource, ending);
		this.#host().emit("destroyRequest", ending.eventId, resource);
		try {
			await this.#options.destroy(resource);
		} finally {
			ending.isOver = true;
		}
	}

	/** The engine does not wait for it any more. */
	destroyed(resource: R, error: unknown): void {
		const { eventId, isOver } = this.#endings.get(resource) ?? {};
		if (error === undefined) {
			this.#host().emit("destroySuccess", eventId, resource);
			return;
		}
		const reason = isOver === false ? new TimeoutError((error as Error).message) : error;
		this.#host().emit("destroyFail", eventId, resource, reason);
		this.#host().warn("resource destroyer", reason);
	}

	discard(resource: R, change: ProcessChange): void {
		discard(this.#options, resource, change);
	}

	/** tarn has a timer for each failure, and each looks once whether there is something to create. */
	#nextTurn(signal: AbortSignal): PromiseWithResolvers<void> {
		const turn = Promise.withResolvers<void>();
		const { resolve } = turn;
		this.#failed.add(resolve);
		const timer = setTimeout(() => this.retry(), this.#options.createRetryIntervalMillis ?? DEFAULT_RETRY_INTERVAL_MILLIS);
		const onAbort = (): void => {
			clearTimeout(timer);
			this.#failed.delete(resolve);
			resolve();
		};
		signal.addEventListener("abort", onAbort, { once: true });
		// The signal lives as long as it is tried.
		void turn.promise.then(() => signal.removeEventListener("abort", onAbort));
		return turn;
	}
}

/** One call of `create`. */
class Attempt<R extends object> {
	/** Fulfilled when a create that has failed holds nothing any more. */
	gone: Promise<void> = Promise.resolve();
	readonly #options: TarnPoolOptions<R>;
	readonly #host: Host<R>;
	readonly #isTransient: (error: unknown) => boolean;
	readonly #generation = knownGeneration();

	constructor(options: TarnPoolOptions<R>, host: Host<R>, isTransient: (error: unknown) => boolean) {
		this.#options = options;
		this.#host = host;
		this.#isTransient = isTransient;
	}

	/** @param isOver called when it has succeeded, has failed, or is not wanted any more */
	async run(signal: AbortSignal, isOver: () => void): Promise<R> {
		const host = this.#host;
		const eventId = host.nextEventId();
		host.emit("createRequest", eventId);
		const waiting = [...host.waiting()];
		const inner = new AbortController();
		const deadline = this.#deadline(signal);
		const end = once(() => {
			deadline.stop();
			signal.removeEventListener("abort", onAbort);
			isOver();
		});
		const onAbort = (): void => {
			end();
			inner.abort(signal.reason);
		};
		signal.addEventListener("abort", onAbort, { once: true });
		try {
			host.look();
			signal.throwIfAborted();
			const created = this.#create(inner.signal);
			this.gone = created.then(
				(resource) => this.#endLate(resource, inner.signal),
				() => {},
			);
			const resource = await Promise.race([created, deadline.promise]);
			end();
			if (!signal.aborted) host.emit("createSuccess", eventId, resource);
			return resource;
		} catch (error) {
			end();
			if (!signal.aborted) inner.abort(error);
			host.emit("createFail", eventId, error);
			if (!signal.aborted) this.#tell(waiting, error);
			throw error;
		}
	}

	/** Those that wait: the first one at once, the others when their time is up. */
	#tell(waiting: readonly Acquire<R>[], error: unknown): void {
		for (const acquire of waiting) acquire.possibleTimeoutCause = error as Error;
		if (this.#options.propagateCreateError !== true || this.#isTransient(error)) return;
		const isTimeout = error instanceof TimeoutError && error.cause instanceof ConnectError;
		if (isTimeout && this.#options.isTransient !== undefined) {
			// Beyond tarn: whoever has waited for as long as a create may take need not wait for another one.
			const longAgo = performance.now() - this.#timeoutMillis + 1;
			// Who is rejected leaves the line.
			const told = Array.from(this.#host.waiting()).filter(({ since }) => since <= longAgo);
			for (const acquire of told) acquire.reject(error);
			return;
		}
		this.#host.waiting().first?.reject(isTimeout ? error : new ConnectError(error).asDriverError());
	}

	#deadline(signal: AbortSignal): { readonly promise: Promise<never>; readonly stop: () => void } {
		const { promise, reject } = Promise.withResolvers<never>();
		promise.catch(() => {});
		const millis = this.#timeoutMillis;
		const stop = this.#host.startDeadline(millis, () => {
			if (signal.aborted) return;
			const cause = new ConnectError(new Error(`no connection was established within ${millis} ms`), true);
			reject(Object.assign(new TimeoutError(cause.message), { cause }));
		});
		return { promise, stop };
	}

	get #timeoutMillis(): number {
		return this.#options.createTimeoutMillis ?? DEFAULT_TIMEOUT_MILLIS;
	}

	/** By callback or by promise: whatever is truthy is taken for the result, as tarn does. */
	#create(signal: AbortSignal): Promise<R> {
		return new Promise((resolve, reject) => {
			const callback: Callback<R> = (error, resource) => (error ? reject(error) : resolve(resource as R));
			const created = async (): Promise<R | void> => this.#options.create(callback, signal);
			created().then((resource) => resource && resolve(resource), reject);
		});
	}

	/** What comes after its time-out is ended, without events, as in tarn; in another process it is forgotten. */
	async #endLate(resource: R, signal: AbortSignal): Promise<void> {
		if (!(signal.reason instanceof TimeoutError)) return;
		this.#host.look();
		try {
			if (this.#generation === knownGeneration()) await this.#options.destroy(resource);
			else discard(this.#options, resource, lastProcessChange() as ProcessChange);
		} catch (error) {
			this.#host.warn("resource destroyer", error);
		}
	}
}

function discard<R extends object>(options: TarnPoolOptions<R>, resource: R, change: ProcessChange): void {
	if (options.discard === undefined) (resource as R & { discard(change: ProcessChange): void }).discard(change);
	else options.discard(resource, change);
}

function once(action: () => void): () => void {
	let isDone = false;
	return () => {
		if (isDone) return;
		isDone = true;
		action();
	};
}

/** Waits for a promise that is never rejected, no longer than `millis` (0: for ever), and not when the signal is aborted. */
async function atMost(millis: number, promise: Promise<void>, signal: AbortSignal): Promise<void> {
	const { promise: timeUp, resolve } = Promise.withResolvers<void>();
	const timer = millis > 0 ? setTimeout(resolve, millis) : undefined;
	const onAbort = (): void => resolve();
	signal.addEventListener("abort", onAbort, { once: true });
	await Promise.race([promise, timeUp]);
	clearTimeout(timer);
	signal.removeEventListener("abort", onAbort);
}
