import type { Clock } from "./clock.ts";
import type { Entry } from "./entry.ts";
import { isBuildingSnapshot } from "./snapshot.ts";

/** A connection that has been held for longer than `leakThresholdMillis`. */
export interface Leak<R> {
	readonly resource: R;
	readonly heldMillis: number;
	/** Where it was acquired: the frames of the call, a line each. */
	readonly stack: string;
}

interface Lease {
	readonly since: number;
	/** An error is the cheapest way to a stack: it is made readable only when somebody reads it. */
	readonly acquirer: Error;
}

/** Remembers who has acquired what, and finds those who have held it for too long, each once. */
export class LeakWatch<R> {
	readonly #clock: Clock;
	readonly #thresholdMillis: number;
	readonly #leases = new Map<Entry<R>, Lease>();

	/** @param thresholdMillis 0: none is found */
	constructor(thresholdMillis: number, clock: Clock) {
		this.#thresholdMillis = thresholdMillis === 0 ? Number.POSITIVE_INFINITY : thresholdMillis;
		this.#clock = clock;
	}

	begin(entry: Entry<R>, acquirer: Error): void {
		this.#leases.set(entry, { since: this.#clock.now(), acquirer });
	}

	/** It came back. */
	end(entry: Entry<R>): void {
		this.#leases.delete(entry);
	}

	/** Those that are in use for too long, and were not found before. */
	find(): Leak<R>[] {
		const now = this.#clock.now();
		const leaks: Leak<R>[] = [];
		for (const [entry, { since, acquirer }] of this.#leases) {
			const isLeaked = entry.state === "used" && now - since >= this.#thresholdMillis;
			if (isLeaked) leaks.push({ resource: entry.resource as R, heldMillis: now - since, stack: framesOf(acquirer) });
			if (isLeaked || entry.state !== "used") this.#leases.delete(entry);
		}
		return leaks;
	}

	/** Who has acquired it: the frames of the call, a line each. Undefined when it was not noted. */
	acquirerOf(entry: Entry<R>): string | undefined {
		const lease = this.#leases.get(entry);
		return lease && framesOf(lease.acquirer);
	}

	/** What was acquired in another process is no leak of this one. */
	clear(): void {
		this.#leases.clear();
	}
}

/** Libraries have many frames of their own between their pool and whoever uses them. */
const FRAMES = 50;

/**
 * Notes who has called `below`, for {@link LeakWatch.begin}.
 *
 * @param below the outermost function that is of no interest
 */
export function stackAbove(below: (...args: never[]) => unknown): Error {
	const { stackTraceLimit } = Error;
	Error.stackTraceLimit = FRAMES;
	try {
		const holder = new Error("acquired");
		Error.captureStackTrace(holder, below);
		// Node 22 cannot write a snapshot with an error in it whose stack nobody has read.
		if (isBuildingSnapshot()) framesOf(holder);
		return holder;
	} finally {
		Error.stackTraceLimit = stackTraceLimit;
	}
}

/** The frames of an error's stack, a line each. */
export function framesOf({ stack = "" }: Error): string {
	return stack.split("\n").slice(1).join("\n");
}
