import type { Permits } from "../../src/index.ts";

interface Request {
	readonly signal: AbortSignal;
	readonly grant: () => void;
	readonly refuse: (error: unknown) => void;
}

/** A budget that does as the test says, and counts. */
export class GatedPermits implements Permits {
	/** So many are given at once; who asks for more waits. */
	free: number;
	/** So many were taken and not given back. Below zero: one was given back twice. */
	held = 0;
	/** So many others want. */
	wanted = 0;
	/** What `isWanted` was asked. */
	readonly idleMillis: number[] = [];
	/** Who waits, or has waited. */
	readonly requests: Request[] = [];
	readonly listeners = new Set<() => void>();

	constructor(free = 0) {
		this.free = free;
	}

	acquire(signal: AbortSignal): Promise<void> | void {
		if (this.free > 0) {
			this.free--;
			this.held++;
			return undefined;
		}
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		const grant = (): void => {
			this.held++;
			resolve();
		};
		this.requests.push({ signal, grant, refuse: reject });
		return promise;
	}

	release(): void {
		this.held--;
	}

	isWanted(idleMillis: number): boolean {
		this.idleMillis.push(idleMillis);
		if (this.wanted === 0) return false;
		this.wanted--;
		return true;
	}

	onWanted(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => void this.listeners.delete(listener);
	}

	/** Others need so many. */
	want(count: number): void {
		this.wanted = count;
		for (const listener of this.listeners) listener();
	}
}
