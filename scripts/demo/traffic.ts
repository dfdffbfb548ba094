import type { Answer, Application, Transfer } from "./application.ts";
import { accountCount } from "./bank.ts";

/** A read, or a transfer; each has one answer that is right. */
export type Statement =
	| { readonly kind: "read"; readonly question: string }
	| { readonly kind: "transfer"; readonly transfer: Transfer };

/** How the statements of a process went, as the process itself sees it. */
export interface Tally {
	readonly right: number;
	/** Another statement's answer, or none that could be one. */
	readonly crossed: number;
	/** The messages of errors, each with how often it came. */
	readonly errors: Readonly<Record<string, number>>;
	/** The transfers among `right`. */
	readonly acknowledged: readonly string[];
	/** The backends that the answers came from. */
	readonly backends: readonly number[];
	/** Nothing was answered for {@link stallMillis}, and the process went on without waiting any longer. */
	readonly isHung: boolean;
}

/** What became of the parent's statements in a forked worker, where they do not belong. */
export interface Inherited {
	/** In flight or queued at the fork. */
	readonly pending: number;
	/** Rejected with one of forksafe's two errors that say: the parent goes on waiting for it. */
	readonly refused: number;
	/** Answered in the worker, or failed in another way. */
	readonly ran: number;
}

/** Statements under way at a time. The pool has fewer connections, so some always wait for one. */
export const concurrency = 12;
/** After this long without an answer nothing will come any more. */
export const stallMillis = 3_000;
const readMillis = 1;

/** Reads and transfers in turn. Ids and questions name the process, and are never used twice. */
export function statementsFor(process: string, { from, count }: { from: number; count: number }): Statement[] {
	return Array.from({ length: count }, (_, index) => {
		const n = from + index;
		const id = `${process}/${n}`;
		if (n % 2 !== 0) return { kind: "read", question: id };
		const account = 1 + (n % accountCount);
		const to = 1 + ((account + 6) % accountCount);
		return { kind: "transfer", transfer: { id, from: account, to, amount: 1 + (n % 9) } };
	});
}

/** What one process asks of the application, and what it hears. */
export class Traffic {
	readonly #application: Application;
	readonly #errors: Record<string, number> = {};
	readonly #acknowledged: string[] = [];
	readonly #backends = new Set<number>();
	#queue: Statement[] = [];
	#right = 0;
	#crossed = 0;
	#pending = 0;
	#isHung = false;
	#lastAnswerAt = 0;
	#watch: NodeJS.Timeout | undefined;
	#inherited: { pending: number; refused: number; ran: number } | undefined;

	constructor(application: Application) {
		this.#application = application;
	}

	get answered(): number {
		return this.#right + this.#crossed;
	}

	/** Asks them all. Resolves when all are answered or have failed, or when no answer comes any more; never rejects. */
	async ask(statements: readonly Statement[]): Promise<void> {
		this.#queue = [...statements];
		this.#lastAnswerAt = performance.now();
		const stalled = new Promise<void>((resolve) => {
			this.#watch = setInterval(() => {
				if (performance.now() - this.#lastAnswerAt < stallMillis) return;
				this.#isHung = true;
				this.#queue = [];
				resolve();
			}, 50);
		});
		await Promise.race([Promise.all(Array.from({ length: concurrency }, () => this.#serve())), stalled]);
		clearInterval(this.#watch);
	}

	/** In a forked worker, for the copy of the parent's traffic: nothing more is asked, and what was asked is not its own. */
	disown(): void {
		clearInterval(this.#watch);
		this.#queue = [];
		this.#inherited = { pending: this.#pending, refused: 0, ran: 0 };
	}

	/** Only after {@link disown}. */
	get inherited(): Inherited {
		return this.#inherited ?? { pending: 0, refused: 0, ran: 0 };
	}

	tally(): Tally {
		return {
			right: this.#right,
			crossed: this.#crossed,
			errors: this.#errors,
			acknowledged: this.#acknowledged,
			backends: [...this.#backends],
			isHung: this.#isHung,
		};
	}

	async #serve(): Promise<void> {
		for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
			this.#pending++;
			const settle = await this.#send(next).then(
				(answer) => () => this.#take(next, answer),
				(error: unknown) => () => this.#refuse(error),
			);
			this.#pending--;
			this.#lastAnswerAt = performance.now();
			settle();
		}
	}

	#send(statement: Statement): Promise<Answer | undefined> {
		return statement.kind === "read"
			? this.#application.read(statement.question, readMillis)
			: this.#application.transfer(statement.transfer);
	}

	#take(statement: Statement, answer: Answer | undefined): void {
		if (this.#inherited !== undefined) {
			this.#inherited.ran++;
			return;
		}
		if (typeof answer?.backend === "number") this.#backends.add(answer.backend);
		const expected = statement.kind === "read" ? statement.question : statement.transfer.id;
		if (answer?.answer !== expected) {
			this.#crossed++;
			return;
		}
		this.#right++;
		if (statement.kind === "transfer") this.#acknowledged.push(expected);
	}

	#refuse(error: unknown): void {
		if (this.#inherited !== undefined) {
			if (isRefusal(error)) this.#inherited.refused++;
			else this.#inherited.ran++;
			return;
		}
		const message = error instanceof Error ? error.message : String(error);
		this.#errors[message] = (this.#errors[message] ?? 0) + 1;
	}
}

/** By the code alone: in a plain run there is no forksafe whose classes could be asked. */
function isRefusal(error: unknown): boolean {
	const { code } = error as { code?: unknown };
	return code === "ERR_FORKSAFE_INHERITED" || code === "ERR_FORKSAFE_PROCESS_CHANGED";
}
