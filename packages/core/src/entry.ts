/**
 * - `connecting`: the driver opens it; there is no resource yet
 * - `idle`: nobody has it
 * - `validating`: the driver asks whether it is still usable
 * - `used`: somebody has it
 * - `destroying`: the driver ends it; it still counts against `max`
 * - `gone`: ended
 * - `discarded`: inherited, forgotten
 */
export type EntryState = "connecting" | "idle" | "validating" | "used" | "destroying" | "gone" | "discarded";

/** A switch on literals: this runs twice on the hot path. */
function mayFollow(state: EntryState, next: EntryState): boolean {
	switch (state) {
		case "idle":
			return next === "used" || next === "validating" || next === "destroying" || next === "discarded";
		case "used":
		case "validating":
			return next === "idle" || next === "destroying" || next === "discarded";
		case "connecting":
			return next === "idle" || next === "destroying" || next === "discarded";
		case "destroying":
			return next === "gone" || next === "discarded";
		default:
			return false;
	}
}

/** What a pool knows of one connection. Its state changes in {@link Entry.moveTo} and nowhere else. */
export class Entry<R> {
	state: EntryState = "connecting";
	resource: R | undefined = undefined;
	/** Of the pool, when the connect began: in any other one this connection is inherited. */
	readonly generation: number;
	/** When it is too old, in milliseconds of the pool's clock. */
	readonly expiresAt: number;
	/** How often the pool had been evicted when the connect began. */
	readonly evictions: number;
	/** When its connect began, in milliseconds of the pool's clock: when it had its permit. */
	beganAt: number;
	/** How long the process had not run by then. */
	lostBefore: number;
	/** By the time of day: when it was handed out, seen in use by a tick, validated or opened. It came back no earlier. */
	idleFrom = 0;
	/** Since when it has been seen idle by the maintenance tick; 0 until a tick has seen it. */
	idleSince = 0;
	/** How often it was handed out. */
	uses = 0;
	/** It is ended, not kept, when it comes back. */
	isRetired = false;
	/** Others need permits: whether it is ended is asked when it comes back. */
	isRecalled = false;
	/** Its connect begins when it has a permit. */
	awaitsPermit = false;
	/** There is a permit to give back. */
	hasPermit = false;
	/** Gives the connect in progress up. */
	readonly abort: AbortController = new AbortController();
	/** Stops the deadline of what is going on (connect, validate, destroy). */
	stopDeadline: () => void = nothing;

	constructor(generation: number, evictions: number, beganAt: number, lostBefore: number, expiresAt: number) {
		this.generation = generation;
		this.evictions = evictions;
		this.beganAt = beganAt;
		this.lostBefore = lostBefore;
		this.expiresAt = expiresAt;
	}

	/** It is ended when it comes back, whatever others need. */
	retire(): void {
		this.isRetired = true;
		this.isRecalled = false;
	}

	/** It may have to be ended when it comes back. While it is validated, that is not to be known yet. */
	recall(): void {
		if (this.isRetired) return;
		this.isRecalled = true;
		this.isRetired = this.state !== "validating";
	}

	moveTo(next: EntryState): void {
		if (!mayFollow(this.state, next)) throw new Error(`bug: a connection cannot go from ${this.state} to ${next}`);
		this.state = next;
	}
}

function nothing(): void {}
