import { afterFork } from "@forksafe/core";
import type { Face, Subject } from "../../test/faces/face.ts";
import { type ExitMode, forkChild } from "../../test/support/fork.ts";
import { report } from "../../test/support/report.ts";
import { untilTrue } from "../../test/support/until-true.ts";
import { type Sample, takeSample } from "./sample.ts";

/** A fault that the program asks for. */
export type Request = "terminate sessions" | "cut" | "reset" | "stall" | "restart the server";

/** What the program says. */
export interface Line {
	readonly please?: Request;
	readonly complaint?: string;
	readonly sample?: Sample;
	readonly acknowledged?: readonly string[];
	readonly answers?: number;
	readonly forks?: number;
}

const REQUESTS: readonly Request[] = ["terminate sessions", "cut", "reset", "stall", "restart the server"];
/** Not by running dry: a key derivation of SCRAM that was in the thread pool at the fork keeps the child's loop alive for ever. */
const EXITS: readonly ExitMode[] = ["process.exit", "signal"];
const WORKERS = 12;
const WORK_MILLIS = 400;
/** Whatever was asked is answered, or refused, by then. */
const HANG_MILLIS = 40_000;
/** When a fault is over, everything is all right again by then. */
const HEAL_MILLIS = 10_000;
const QUIET_MILLIS = 50;

/** What may become of a statement while sessions are ended and connections cut. */
const EXPECTED =
	/terminat|ECONNRESET|EPIPE|closed|shutting down|starting up|recovery|not queryable|timeout|in the middle|division by zero|aborted|57P0|unexpectedly|read only|ended/i;

/** One pool under soak. */
export class Soaked {
	readonly #name: string;
	readonly #subject: Subject;
	readonly #random: () => number;
	readonly #acknowledged: string[] = [];
	#serial = 0;
	/** In a child: the parent's work goes on over there, and must not go on here. */
	#isCopy = false;
	answers = 0;
	forks = 0;

	constructor(face: Face, url: string, random: () => number) {
		this.#name = face.name;
		this.#subject = face.open({ url, max: 5, idleTimeoutMillis: 2_000 });
		this.#random = random;
	}

	/** Traffic with a fault, a fork or neither in the middle; and when all is answered, a look whether all is well. */
	async cycle(): Promise<void> {
		const end = performance.now() + WORK_MILLIS;
		const working = Promise.all(Array.from({ length: WORKERS }, () => this.#work(end)));
		await pause(WORK_MILLIS / 2);
		const dice = this.#random();
		if (dice < 0.4) report({ please: pick(REQUESTS, this.#random) } satisfies Line);
		else if (dice < 0.7) await this.#fork();
		await this.#within(HANG_MILLIS, working, "traffic");
		await this.#heal();
	}

	/** Inserts that were acknowledged since the last time. */
	takeAcknowledged(): string[] {
		return this.#acknowledged.splice(0);
	}

	async end(): Promise<void> {
		await this.#within(HANG_MILLIS, this.#subject.end(), "the end of the pool");
	}

	async #work(end: number): Promise<void> {
		while (performance.now() < end && !this.#isCopy) {
			try {
				await this.#step();
			} catch (error) {
				if (this.#isCopy) return;
				if (!EXPECTED.test(everything(error))) this.#complain(`an error of another kind: ${everything(error)}`);
				// A server that is away refuses at once, thousands of times.
				await pause(5);
			}
		}
	}

	async #step(): Promise<void> {
		const dice = this.#random();
		if (dice < 0.5) {
			await this.#echo();
		} else if (dice < 0.75) {
			const key = `${this.#name}/${process.pid}/${this.#serial++}`;
			await this.#subject.insert(key);
			this.#acknowledged.push(key);
		} else if (dice < 0.85) {
			await this.#subject.sleep(10);
		} else if (dice < 0.95) {
			const held = await this.#subject.hold();
			try {
				await held.echo("held");
			} finally {
				await held.release();
			}
		} else {
			const held = await this.#subject.hold();
			try {
				await held.end();
			} finally {
				await held.release();
			}
		}
	}

	async #echo(): Promise<void> {
		const question = `${this.#name} ${this.#serial++}`;
		const answer = await this.#subject.echo(question);
		if (answer !== question) this.#complain(`asked "${question}", and was answered "${answer}"`);
		this.answers++;
	}

	/** The child asks and inserts on connections of its own, and goes in one way or another. */
	async #fork(): Promise<void> {
		const exit = pick(EXITS, this.#random);
		const hook = this.#random() < 0.5;
		const serial = this.forks++;
		const child = await forkChild(
			`${this.#name} ${serial}`,
			async () => {
				this.#isCopy = true;
				if (hook) afterFork();
				for (let n = 0; n < 5; n++) await this.#echo();
				await this.#subject.insert(`${this.#name}/child ${serial}`);
			},
			{ exit, deadlineMillis: HANG_MILLIS },
		);
		await child.result.catch((error: unknown) => {
			this.#complain(`child ${serial} (${hook ? "with" : "without"} afterFork, ${exit}): ${everything(error)}`);
		});
	}

	/** Ten right answers in a row, and nothing in use. */
	async #heal(): Promise<void> {
		const isWell = async (): Promise<boolean> => {
			try {
				for (let n = 0; n < 10; n++) await this.#echo();
				return true;
			} catch {
				return false;
			}
		};
		await untilTrue(isWell, { what: "all is well again", deadlineMillis: HEAL_MILLIS }).catch((error: unknown) =>
			this.#complain(everything(error)),
		);
		const isQuiet = (): boolean => {
			const { used, pending } = this.#subject.counts();
			return used === 0 && pending === 0;
		};
		await untilTrue(isQuiet, { what: "nothing is in use", deadlineMillis: HEAL_MILLIS }).catch(() => {
			this.#complain(`counters with nothing to do: ${JSON.stringify(this.#subject.counts())}`);
		});
	}

	async #within(millis: number, work: Promise<unknown>, what: string): Promise<void> {
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<"late">((resolve) => {
			timer = setTimeout(resolve, millis, "late");
		});
		if ((await Promise.race([work, late])) === "late") throw new Error(`${this.#name}: ${what} hangs`);
		clearTimeout(timer);
	}

	#complain(complaint: string): void {
		report({ complaint: `${this.#name}: ${complaint}` } satisfies Line);
	}
}

/** Of all pools together, in a quiet moment. */
export async function sampleAll(all: readonly Soaked[]): Promise<void> {
	await pause(QUIET_MILLIS);
	const sum = (count: (soaked: Soaked) => number): number => all.reduce((total, soaked) => total + count(soaked), 0);
	const line: Line = {
		sample: takeSample(),
		acknowledged: all.flatMap((soaked) => soaked.takeAcknowledged()),
		answers: sum(({ answers }) => answers),
		forks: sum(({ forks }) => forks),
	};
	report(line);
}

/** The messages and codes of an error and of its causes. */
function everything(error: unknown): string {
	const texts: string[] = [];
	for (let one = error; one instanceof Error && texts.length < 5; one = one.cause) {
		const { code } = one as { code?: unknown };
		texts.push(typeof code === "string" ? `${one.message} (${code})` : one.message);
	}
	return texts.length > 0 ? texts.join(" <- ") : String(error);
}

function pick<T>(list: readonly T[], random: () => number): T {
	return list[Math.floor(random() * list.length)] as T;
}

function pause(millis: number): Promise<void> {
	return new Promise((resolve) => void setTimeout(resolve, millis));
}
