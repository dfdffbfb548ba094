import { subscribe } from "node:diagnostics_channel";
import { currentGeneration, knownGeneration } from "@forksafe/core";
import type { Face, Subject } from "../../test/faces/face.ts";
import { warm } from "../../test/scenarios/scenario.ts";

const CONNECTIONS = 3;
/** More than there are connections: some wait. */
const WORKERS = 5;
/** Longer than a run, shorter than the steps of the wall clock. */
const IDLE_TIMEOUT_MILLIS = 1_800_000;

/** What must not happen to a connection that is well. */
export interface Counts {
	answers: number;
	failed: number;
	destroyed: number;
	discarded: number;
	/** Generations that have ended. */
	changes: number;
	/** Sessions that the pool had, and has no more. */
	lost: number;
}

/** Of all pools of the process together. */
export const counts: Counts = { answers: 0, failed: 0, destroyed: 0, discarded: 0, changes: 0, lost: 0 };

let generation = 0;

/** Begins to count. */
export function watchAlarms(): void {
	generation = currentGeneration();
	subscribe("forksafe:connection:destroy", () => counts.destroyed++);
	subscribe("forksafe:connection:discard", () => counts.discarded++);
}

/** Looks for what no channel tells. */
export function countChanges(): void {
	counts.changes += knownGeneration() - generation;
	generation = knownGeneration();
}

/** A pool of ours whose connections nothing is wrong with. */
export class WatchedPool {
	readonly #name: string;
	readonly #subject: Subject;
	readonly #complain: (complaint: string) => void;
	#sessions = new Set<string>();
	#serial = 0;

	constructor(face: Face, url: string, complain: (complaint: string) => void) {
		this.#name = face.name;
		this.#subject = face.open({ url, max: CONNECTIONS, idleTimeoutMillis: IDLE_TIMEOUT_MILLIS });
		this.#complain = complain;
	}

	async open(): Promise<void> {
		this.#sessions = await warm(this.#subject, CONNECTIONS);
	}

	/** Asks without a pause, until it is told to stop. */
	async work(isOver: () => boolean): Promise<void> {
		const worker = async (): Promise<void> => {
			while (!isOver()) await this.#ask();
		};
		await Promise.all(Array.from({ length: WORKERS }, worker));
	}

	/** One question on each connection. */
	async askOnce(): Promise<void> {
		await Promise.all(Array.from({ length: CONNECTIONS }, () => this.#ask()));
	}

	/** Whether all connections are the ones that it had. */
	async inspect(): Promise<void> {
		const now = await warm(this.#subject, CONNECTIONS);
		const lost = [...this.#sessions].filter((session) => !now.has(session));
		if (lost.length > 0) this.#complain(`${this.#name}: the sessions ${lost.join(", ")} are gone`);
		counts.lost += lost.length;
		this.#sessions = now;
	}

	async end(): Promise<void> {
		await this.#subject.end();
	}

	async #ask(): Promise<void> {
		const question = `${this.#name} ${this.#serial++}`;
		try {
			const answer = await this.#subject.echo(question);
			if (answer !== question) throw new Error(`was answered "${answer}"`);
			counts.answers++;
		} catch (error) {
			counts.failed++;
			this.#complain(`${question}: ${(error as Error).message}`);
		}
	}
}
