/**
 * The permits of one process, which all its pools share.
 *
 * Invariants:
 * - `held` is never above `allowance`, which is what the ledger says that this process holds
 * - whoever waits has been asked for: in the ledger, or as soon as there is one
 */
import process from "node:process";
import {
	type ConnectionHolder,
	currentGeneration,
	OptionError,
	type Permits,
	type ProcessChange,
	type Queued,
	registerHolder,
	WaitQueue,
} from "@forksafe/core";
import { joinServedBudget, PATH_VARIABLE } from "./budget.ts";
import { type Link, type LinkEvents, linkTo } from "./link.ts";
import type { ToProcess } from "./messages.ts";

/** So long a permit that came back is kept for the next connect of this process. */
const KEEP_MILLIS = 50;
/** What has been idle for so long is spared for others, also when this process has no more than its share. */
const SPARE_IDLE_MILLIS = 250;
/** When the budget is lost, those that have more than their share have so long to give it back. */
const GRACE_MILLIS = 1_000;
const RETRY_MILLIS = 1_000;

/**
 * The permits of this process, for the option `permits` of its pools: of the budget that this process serves, or of the one that a
 * process above it does. All pools of a process share one.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) when no process above this one serves a budget
 * @example
 * ```ts
 * const pool = new Pool({ connectionString, max: 20, permits: connectionPermits() });
 * ```
 */
export function connectionPermits(): Permits {
	currentGeneration();
	if (!process.env[PATH_VARIABLE]) {
		throw new OptionError(
			PATH_VARIABLE,
			undefined,
			"names no budget: call connectionBudget({ total }) in the primary before it starts this process, and pass the environment on",
		);
	}
	permits ??= new ProcessPermits();
	return permits;
}

let permits: ProcessPermits | undefined;

/** Somebody who waits for a permit. */
class Request implements Queued<Request> {
	previous: Request | undefined = undefined;
	next: Request | undefined = undefined;
	readonly grant: () => void;

	constructor(grant: () => void) {
		this.grant = grant;
	}
}

class ProcessPermits implements Permits {
	#link: Link | undefined;
	#isOpen = false;
	/** The budget was there, or should be, and is not. */
	#isLost = false;
	/** Where it was. */
	#path: string | undefined;
	/** So many permits are here, and so many of them are in use. */
	#allowance = 0;
	#held = 0;
	/** So many pools have promised to give back. */
	#ending = 0;
	/** So many may be kept while others wait. */
	#keep = Number.POSITIVE_INFINITY;
	/** So many would be of use to others. */
	#spare = 0;
	#share = 1;
	#waiting = new WaitQueue<Request>();
	readonly #listeners = new Set<() => void>();
	#keeping: NodeJS.Timeout | undefined;
	#retrying: NodeJS.Timeout | undefined;
	#grace: NodeJS.Timeout | undefined;
	/** How the registry reaches it. The registry holds it weakly, so it has to be kept. */
	readonly #holder: ConnectionHolder = { discardInherited: (change) => this.#startAfresh(change) };

	constructor() {
		registerHolder(this.#holder);
		// What is kept for a moment is not to be mistaken for what a dead process has left open.
		process.on("exit", () => {
			currentGeneration();
			this.#giveBack(this.#allowance - this.#held);
		});
	}

	acquire(signal: AbortSignal): Promise<void> | void {
		currentGeneration();
		if (this.#isLost && process.env[PATH_VARIABLE] !== this.#path) this.#connect(); // there is another budget
		if (this.#waiting.size === 0 && this.#held < this.#allowance) {
			this.#held++;
			return undefined;
		}
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		const queue = this.#waiting;
		const onAbort = (): void => {
			reject(signal.reason);
			if (this.#waiting !== queue) return; // it was another process that waited
			queue.remove(request);
			this.#ask(-1);
		};
		const request = new Request(() => {
			signal.removeEventListener("abort", onAbort);
			resolve();
		});
		signal.addEventListener("abort", onAbort, { once: true });
		queue.push(request);
		this.#ask(1);
		return promise;
	}

	release(): void {
		this.#held--;
		if (this.#ending > 0) {
			this.#ending--;
			this.#giveBack(1);
		} else if (this.#allowance > this.#keep) {
			this.#giveBack(1);
		} else {
			this.#ask(-this.#serve());
			this.#keepForAMoment();
		}
	}

	isWanted(idleMillis: number): boolean {
		const isAboveShare = this.#allowance - this.#ending > this.#keep;
		const isSpare = idleMillis >= SPARE_IDLE_MILLIS && this.#spare > 0;
		if (!isAboveShare && !isSpare) return false;
		if (!isAboveShare) this.#spare--;
		this.#ending++;
		return true;
	}

	onWanted(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	/** @param change so many more wait here */
	#ask(change: number): void {
		if (change === 0) return;
		this.#link?.hold(this.#waiting.size > 0);
		if (this.#isOpen) this.#link?.send({ asks: change });
		else if (this.#link === undefined && !this.#isLost) this.#connect();
	}

	/** @returns how many of those who wait had what is here */
	#serve(): number {
		let served = 0;
		while (this.#held < this.#allowance) {
			const request = this.#waiting.shift();
			if (request === undefined) break;
			this.#held++;
			served++;
			request.grant();
		}
		if (served > 0) this.#link?.hold(this.#waiting.size > 0);
		return served;
	}

	#giveBack(count: number): void {
		if (count <= 0) return;
		this.#allowance -= count;
		if (this.#isOpen) this.#link?.send({ returns: count });
	}

	#keepForAMoment(): void {
		if (this.#held === this.#allowance || this.#keeping !== undefined) return;
		this.#keeping = setTimeout(() => {
			currentGeneration();
			this.#keeping = undefined;
			// Without a budget, nobody else could use it.
			if (!this.#isLost) this.#giveBack(this.#allowance - this.#held);
		}, KEEP_MILLIS);
		this.#keeping.unref();
	}

	#connect(): void {
		const { [PATH_VARIABLE]: path } = process.env;
		if (path !== this.#path) this.#allowance = this.#held; // what is left of another budget
		this.#path = path;
		clearTimeout(this.#retrying);
		// The child of a fork may be told what was meant for its parent.
		const ofThisLink = (action: () => void): void => {
			currentGeneration();
			if (this.#link === link) action();
		};
		const events: LinkEvents = {
			opened: () => ofThisLink(() => this.#opened()),
			received: (message) => ofThisLink(() => this.#received(message)),
			lost: (reason) => ofThisLink(() => this.#lost(reason)),
		};
		const local = joinServedBudget(events);
		if (local === undefined && !path) {
			this.#lost(`${PATH_VARIABLE} names none`);
			return;
		}
		const link = local ?? linkTo(path as string, events);
		this.#link = link;
		link.hold(this.#waiting.size > 0);
	}

	#opened(): void {
		this.#isOpen = true;
		this.#isLost = false;
		this.#keep = Number.POSITIVE_INFINITY;
		clearTimeout(this.#grace);
		this.#link?.send({ holds: this.#allowance, asks: this.#waiting.size });
		this.#keepForAMoment();
	}

	#received({ grants = 0, keep, spare = 0, share }: ToProcess): void {
		if (share !== undefined) this.#share = share;
		if (keep !== undefined) {
			this.#keep = keep ?? Number.POSITIVE_INFINITY;
			this.#spare = spare;
			if (keep !== null || spare > 0) this.#makeRoom();
		}
		if (grants === 0) return;
		this.#allowance += grants;
		this.#serve();
		this.#keepForAMoment();
	}

	/** Others wait: what is not in use goes at once, and pools are asked for the rest. */
	#makeRoom(): void {
		const free = this.#allowance - this.#held;
		this.#spare = Math.max(0, this.#spare - free);
		this.#giveBack(free);
		for (const listener of this.#listeners) listener();
	}

	/** The budget cannot be reached: what is held is kept, up to a fixed share, which is taken when the others have done so, too. */
	#lost(reason: string): void {
		this.#link = undefined;
		this.#isOpen = false;
		this.#retrying = setTimeout(() => {
			currentGeneration();
			if (this.#link === undefined) this.#connect();
		}, RETRY_MILLIS);
		this.#retrying.unref();
		if (this.#isLost) return;
		this.#isLost = true;
		if (this.#held > 0 || this.#waiting.size > 0) {
			process.emitWarning(
				`the connection budget cannot be reached (${reason}): until it can, the pools of this process open ${this.#share} connections at most`,
				{ type: "ForkSafeWarning", code: "FORKSAFE_BUDGET" },
			);
		}
		this.#keep = this.#share;
		this.#ending = 0; // who ends one does as all who have more than their share
		for (const listener of this.#listeners) listener();
		this.#grace = setTimeout(() => {
			currentGeneration();
			if (!this.#isLost) return;
			this.#allowance = Math.max(this.#allowance, this.#share);
			this.#serve();
		}, GRACE_MILLIS);
		this.#grace.unref();
	}

	/** What the process that this one was copied from holds is not this one's; its pools have forgotten who waits. */
	#startAfresh({ cause }: ProcessChange): void {
		const link = this.#link;
		this.#link = undefined;
		this.#isOpen = this.#isLost = false;
		this.#allowance = this.#held = this.#ending = this.#spare = 0;
		this.#keep = Number.POSITIVE_INFINITY;
		this.#waiting = new WaitQueue();
		for (const timer of [this.#keeping, this.#retrying, this.#grace]) clearTimeout(timer);
		this.#keeping = undefined;
		if (cause === "fork") link?.discard();
		else link?.close();
	}
}
