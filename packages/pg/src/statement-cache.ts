import type { ResolvedPrepareOptions } from "./prepare-options.ts";

/** So many texts are counted that have no statement yet, of so many characters in all; Npgsql counts as many. */
const MAX_COUNTED = 100;
const MAX_COUNTED_LENGTH = 200_000;

/** What a session has prepared. */
export interface Statement {
	readonly text: string;
	readonly name: string;
}

/**
 * Which texts have a statement on one connection, and how often the others were used. Both are bounded: who was not used for
 * longest goes first. (A Map keeps the order in which its keys were set.)
 */
export class StatementCache {
	readonly #options: ResolvedPrepareOptions;
	readonly #statements = new Map<string, Statement>();
	readonly #uses = new Map<string, number>();
	#countedLength = 0;
	/** Used last: it need not be moved to the end. */
	#latest: Statement | undefined;

	constructor(options: ResolvedPrepareOptions) {
		this.#options = options;
	}

	/** The statement of a text, which is used now. */
	use(text: string): Statement | undefined {
		const statement = this.#statements.get(text);
		if (statement === undefined || statement === this.#latest) return statement;
		this.#statements.delete(text);
		this.#statements.set(text, statement);
		this.#latest = statement;
		return statement;
	}

	/** The name of a text's statement. */
	nameOf(text: string): string | undefined {
		return this.#statements.get(text)?.name;
	}

	/** Counts a use of a text without a statement. @returns whether it is to have one now */
	isDue(text: string): boolean {
		const uses = (this.#uses.get(text) ?? 0) + 1;
		this.#stopCounting(text);
		if (uses >= this.#options.minUses) return true;
		this.#uses.set(text, uses);
		this.#countedLength += text.length;
		for (const oldest of this.#uses.keys()) {
			if (this.#uses.size <= MAX_COUNTED && this.#countedLength <= MAX_COUNTED_LENGTH) break;
			this.#stopCounting(oldest);
		}
		return false;
	}

	/** Who has to go before there is room for another one. */
	get surplus(): Statement | undefined {
		if (this.#statements.size < this.#options.max) return undefined;
		const [oldest] = this.#statements.values();
		return oldest;
	}

	add(statement: Statement): void {
		this.#statements.set(statement.text, statement);
		this.#latest = statement;
	}

	delete(text: string): void {
		if (this.#latest?.text === text) this.#latest = undefined;
		this.#statements.delete(text);
	}

	/** The least recently used first. */
	all(): Statement[] {
		return [...this.#statements.values()];
	}

	#stopCounting(text: string): void {
		if (this.#uses.delete(text)) this.#countedLength -= text.length;
	}
}
