import type { Account, Failure } from "./account.ts";

/** So many kinds of errors are told apart. */
const mostKinds = 50;

/** Counts what becomes of queries. */
export class Tally {
	readonly #failures = new Map<string, { times: number; text: string; codes: string[] }>();
	readonly #pending = new Set<Promise<void>>();
	#start: number | undefined;
	#mark: number | undefined;
	#asked = 0;
	#answered = 0;
	#failed = 0;
	#firstError: number | undefined;
	#lastError: number | undefined;
	#last = 0;
	/** What comes later is not counted: it hung. */
	#isOver = false;

	/** Follows a query whose answer is known. */
	follow(expected: string, query: () => Promise<string | undefined>): Promise<void> {
		this.#start ??= performance.now();
		this.#asked++;
		const settled = query()
			.then(
				(answer) => (answer === expected ? undefined : new Error(`a wrong answer: ${answer}`)),
				(error: unknown) => error ?? new Error("an error that is nothing"),
			)
			.then((error) => {
				if (this.#isOver) return;
				if (error === undefined) this.#answered++;
				else this.#fail(error);
				this.#last = performance.now();
				this.#pending.delete(settled);
			});
		this.#pending.add(settled);
		return settled;
	}

	/** All have settled, or the time is over; what has not settled then hangs, whatever becomes of it. */
	async settled(deadlineMillis: number): Promise<void> {
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<void>((resolve) => {
			timer = setTimeout(resolve, deadlineMillis);
		});
		await Promise.race([Promise.all(this.#pending), late]);
		clearTimeout(timer);
		this.#isOver = true;
	}

	/** The moment from which on the last answer is measured. */
	mark(): void {
		this.#mark = performance.now();
	}

	account(): Omit<Account, "aftermath" | "broken" | "isDone" | "blockedMillis" | "idealMillis"> {
		const since = (moment: number | undefined, start: number | undefined): number | undefined =>
			moment === undefined || start === undefined ? undefined : moment - start;
		return {
			asked: this.#asked,
			answered: this.#answered,
			failed: this.#failed,
			hung: this.#pending.size,
			firstErrorMillis: since(this.#firstError, this.#start),
			lastErrorMillis: since(this.#lastError, this.#start),
			lastMillis: Math.max(0, since(this.#last, this.#start) ?? 0),
			sinceMarkMillis: since(this.#last, this.#mark),
			failures: [...this.#failures.values()],
		};
	}

	#fail(error: unknown): void {
		this.#failed++;
		this.#lastError = performance.now();
		this.#firstError ??= this.#lastError;
		// Ten thousand waiters give up at once, each with a number of its own: to tell them apart would block the event loop.
		if (this.#failures.size === mostKinds) return;
		const { text, codes } = describe(error);
		const known = this.#failures.get(text);
		if (known === undefined) this.#failures.set(text, { times: 1, text, codes: [...codes] });
		else known.times++;
	}
}

function describe(error: unknown): Omit<Failure, "times"> {
	const texts: string[] = [];
	const codes: string[] = [];
	for (let one = error; one instanceof Error && texts.length < 5; one = one.cause) {
		texts.push(one.message.split("\n")[0] ?? "");
		const { code } = one as { code?: unknown };
		if (typeof code === "string") codes.push(code);
	}
	return { text: texts.length > 0 ? [...new Set(texts)].join(" <- ") : String(error), codes };
}
