import { InheritedConnectionError, OptionError } from "./errors.ts";
import { framesOf, stackAbove } from "./leak-watch.ts";
import { type ProcessWatch, processWatchFlaw } from "./options.ts";
import type { ProcessChange } from "./process-change.ts";
import { currentGeneration, knownGeneration, lastProcessChange } from "./process-identity.ts";
import { type ConnectionHolder, registerHolder } from "./process-registry.ts";
import { isBuildingSnapshot, openUntilSnapshot } from "./snapshot.ts";

/** Whose a connection is: for the connections of a driver, which have to know it whether a pool has them or not. */
export class Ownership {
	readonly #looks: boolean;
	readonly #discard: (change: ProcessChange) => void;
	#generation: number | undefined;
	#change: ProcessChange | undefined;
	/** How the registry reaches it. The registry holds it weakly, so it has to be kept. */
	readonly #holder: ConnectionHolder = { discardInherited: (change) => this.lose(change) };
	#unregister: () => void = nothing;
	#noLongerOpen: () => void = nothing;

	/**
	 * @param processWatch as in a pool's options. A connection sees one change at most, so `once` is `always`
	 * @param discard forgets the connection, without a byte written; called once at most
	 * @throws OptionError (ERR_FORKSAFE_OPTION)
	 */
	constructor(processWatch: ProcessWatch, discard: (change: ProcessChange) => void) {
		const flaw = processWatchFlaw(processWatch);
		if (flaw !== undefined) throw new OptionError("processWatch", processWatch, flaw);
		this.#looks = processWatch !== "off";
		this.#discard = discard;
	}

	/** This process opens it. Only the first call counts. @returns whether this is the first one */
	begin(): boolean {
		if (this.#generation !== undefined) return false;
		this.#generation = this.#looks ? currentGeneration() : knownGeneration();
		this.#unregister = registerHolder(this.#holder);
		if (isBuildingSnapshot()) {
			const stack = framesOf(stackAbove(this.begin));
			this.#noLongerOpen = openUntilSnapshot(() => ({ what: "a connection was not ended; opened", stack }));
		}
		return true;
	}

	/** It has ended: there is nothing left to be inherited. */
	end(): void {
		this.#unregister();
		this.#noLongerOpen();
	}

	/** The change since which it is another process's, as far as is known without a look. */
	get change(): ProcessChange | undefined {
		return this.#change;
	}

	/** Whether another process has opened it. Looks who this process is, and discards it if need be. */
	isInherited(): boolean {
		if (this.#change !== undefined) return true;
		if (this.#generation === undefined) return false;
		const generation = this.#looks ? currentGeneration() : knownGeneration();
		// Usually the look has told every holder, this one among them; but its turn may still be to come.
		if (generation !== this.#generation) this.lose(lastProcessChange() as ProcessChange);
		return this.#change !== undefined;
	}

	/**
	 * Why it may not be used; undefined as long as it may. Looks who this process is. A new error each time: libraries write
	 * into the errors that they get (their stack, the statement).
	 */
	refusal(): InheritedConnectionError | undefined {
		return this.isInherited() ? new InheritedConnectionError(this.#change as ProcessChange) : undefined;
	}

	/** @throws InheritedConnectionError (ERR_FORKSAFE_INHERITED) when another process has opened it. Looks who this process is. */
	assertOwn(): void {
		const refusal = this.refusal();
		if (refusal !== undefined) throw refusal;
	}

	/** It is another process's from now on. */
	lose(change: ProcessChange): void {
		if (this.#change !== undefined) return;
		this.#change = change;
		this.end();
		this.#discard(change);
	}
}

function nothing(): void {}
