/**
 * Gives names to the queries of one client, by which its server keeps them: what comes again is not sent, parsed and analysed
 * again. pg does the rest, as it does for a `name` of the application's own.
 *
 * A name is chosen in the very moment in which pg sends the query, so what is sent and what is known are in the same order.
 * Names are never used a second time: a statement that has gone is missed, and never mistaken for another one.
 */
import { randomBytes } from "node:crypto";
import pg from "pg";
import type { PgClientInternals, PgQueryInternals } from "./pg-internals.ts";
import type { ResolvedPrepareOptions } from "./prepare-options.ts";
import type { ServerMessage } from "./server-messages.ts";
import { type Statement, StatementCache } from "./statement-cache.ts";

/**
 * The server has no such statement (any more), or none that gives the same columns as before. Said before the statement runs,
 * as the answer to Bind; what runs may say it as well.
 */
const STALE = /^(26000|0A000)$/;
/** What a query without values may be, so that by both protocols the same comes of it: one statement, with no `$1` in it. */
const ONE_STATEMENT = /^\s*(?:select|insert|update|delete|merge|values|with)\b[^;$]*$/i;

const { requiresPreparation } = pg.Query.prototype as unknown as PgQueryInternals;

/** The prepared statements of one client, from its making to its end. */
export class PreparedStatements {
	readonly #client: PgClientInternals;
	readonly #cache: StatementCache;
	/** In place of the one that pg asks when it sends a query. */
	readonly #named: () => boolean;
	/** The server has them for nothing: closed in front of the next query with a name. */
	readonly #obsolete: string[] = [];
	/** Sent last, with a name; until the server has said that it is bound, nothing has run. */
	#unbound: PgQueryInternals | undefined;
	/** Its callback. pg takes it away when `query_timeout` has passed. */
	#callback: unknown;
	#prefix: string | undefined;
	#count = 0;

	constructor(client: PgClientInternals, options: ResolvedPrepareOptions) {
		this.#client = client;
		this.#cache = new StatementCache(options);
		const nameIt = (query: PgQueryInternals): void => this.#name(query);
		this.#named = function (this: PgQueryInternals) {
			nameIt(this);
			return requiresPreparation.call(this);
		};
		const { connection } = client;
		connection.on("bindComplete", () => {
			this.#unbound = this.#callback = undefined;
		});
		connection.on("commandComplete", ({ text }) => {
			if (text === "DISCARD ALL" || text === "DEALLOCATE ALL") this.#forgetAll();
		});
		const close = connection.close.bind(connection);
		// pg closes a statement that it could not bind, because a value cannot be sent, and goes on believing in it.
		connection.close = (message, more) => {
			const { type, name } = message as { type?: string; name?: string };
			if (type === "S" && name !== undefined && name === this.#unbound?.name) this.#onUnsendable(this.#unbound);
			close(message, more);
		};
	}

	/** Called before pg sends what is queued. */
	adopt(queue: readonly PgQueryInternals[]): void {
		for (const query of queue) {
			// Whatever is not pg's own, cursors and streams, prepares as it likes.
			if (query.requiresPreparation === requiresPreparation && Object.getPrototypeOf(query) === pg.Query.prototype) {
				query.requiresPreparation = this.#named;
			}
			if (!this.#client.pipeline) return;
		}
	}

	/**
	 * Called before pg hears of an error.
	 *
	 * @returns whether the query is run again, so that nobody else has to hear of it
	 */
	retries({ code = "" }: ServerMessage): boolean {
		const client = this.#client;
		const query = client._getActiveQuery();
		if (!query?.name || this.#cache.nameOf(query.text) !== query.name) return false;
		const isParsed = client.connection.parsedStatements[query.name] !== undefined;
		const hasRun = this.#unbound !== query;
		// Of those sent ahead, it is known of the last one only.
		if (isParsed && (!STALE.test(code) || (hasRun && !client.pipeline))) return false;
		const isGivenUp = query.callback !== this.#callback;
		this.#forget(query);
		if (isParsed && code !== "26000") this.#obsolete.push(query.name);
		// In a transaction it is over by now, and what was sent behind the query would come before it.
		const isOver = client._txStatus !== "I" || client._sentQueryQueue.length > 0;
		if (!isParsed || hasRun || isGivenUp || isOver) return false;
		this.#unbound = this.#callback = undefined;
		query.name = undefined;
		// Without a name it cannot fail so again, whatever stands in front of the server.
		query.requiresPreparation = unnamed;
		client._activeQuery = null;
		client._queryQueue.unshift(query);
		return true;
	}

	#name(query: PgQueryInternals): void {
		if (query.name || query.portal || query.rows || query.queryMode !== undefined) return;
		// For pg, types are parsers of what comes; types of parameters would make another statement of the same text.
		if ((query.types as { length?: number } | undefined)?.length !== undefined) return;
		// In a transaction that has failed there is one answer (25P02), unless the server misses the statement.
		if (this.#client._txStatus === "E") return;
		const { text } = query;
		if (!query.values?.length && (query.binary || !ONE_STATEMENT.test(text))) return;
		const statement = this.#cache.use(text) ?? this.#create(text);
		if (statement === undefined) return;
		const { connection } = this.#client;
		// Sent ahead: whether it can be prepared is not known yet.
		if (connection.submittedNamedStatements[statement.name] !== undefined) return;
		for (const name of this.#obsolete) connection.close({ type: "S", name });
		this.#obsolete.length = 0;
		query.name = statement.name;
		this.#unbound = query;
		this.#callback = query.callback;
	}

	#create(text: string): Statement | undefined {
		if (!this.#cache.isDue(text)) return undefined;
		const { surplus } = this.#cache;
		if (surplus !== undefined) {
			if (!this.#isParsed(surplus)) return undefined;
			this.#forget(surplus);
			this.#obsolete.push(surplus.name);
		}
		// Not from Math.random or randomUUID: both have made up their minds before a fork.
		this.#prefix ??= `fs_${randomBytes(6).toString("hex")}_`;
		const statement = { text, name: `${this.#prefix}${this.#count++}` };
		this.#cache.add(statement);
		return statement;
	}

	#onUnsendable(query: PgQueryInternals): void {
		this.#unbound = this.#callback = undefined;
		this.#forget(query);
		// pg would note it when the server says that it has parsed it.
		query.name = undefined;
	}

	/** Those that were sent ahead, behind what has just been answered, are there. */
	#forgetAll(): void {
		for (const statement of this.#cache.all()) if (this.#isParsed(statement)) this.#forget(statement);
		this.#obsolete.length = 0;
	}

	#forget({ text, name }: { readonly text: string; readonly name?: string | undefined }): void {
		const { parsedStatements, submittedNamedStatements } = this.#client.connection;
		this.#cache.delete(text);
		delete parsedStatements[name as string];
		delete submittedNamedStatements[name as string];
	}

	#isParsed({ name }: Statement): boolean {
		return this.#client.connection.parsedStatements[name] !== undefined;
	}
}

/** Not pg's own, so that the query is not adopted once more. */
function unnamed(this: PgQueryInternals): boolean {
	return requiresPreparation.call(this);
}
