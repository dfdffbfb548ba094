/**
 * What forksafe relies on inside pg beyond its documented interface, read from pg 8.23.1 (`lib/client.js`,
 * `lib/connection.js`, `lib/query.js`). `assertPgInternals` fails with a clear message when another version has changed it.
 */
import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import pg from "pg";
import type { ApplicationName } from "./client-options.ts";
import type { ServerMessage } from "./server-messages.ts";

/** `lib/client.js`: the members of a client that are not in its types. */
export interface PgClientInternals {
	/** No error of the connection was seen yet; queries are accepted. */
	readonly _queryable: boolean;
	/** `end()` was called. */
	readonly _ending: boolean;
	/** The socket has closed. */
	readonly _ended: boolean;
	/** Between `connect()` and the first ReadyForQuery. */
	readonly _connecting: boolean;
	/** An error was reported already: the end of the socket is not reported as another one. */
	_connectionError: boolean;
	/** Answers `connect()`. */
	_connectionCallback: ((error: Error) => void) | null;
	readonly connectionTimeoutHandle?: NodeJS.Timeout;
	/** The query that the server answers; pg takes the next one of those sent when there is none. */
	_getActiveQuery(): PgQueryInternals | null;
	_activeQuery: PgQueryInternals | null;
	/** Sent ahead, in pipeline mode. */
	readonly _sentQueryQueue: PgQueryInternals[];
	/** Not sent yet. */
	readonly _queryQueue: PgQueryInternals[];
	readonly connection: PgConnectionInternals;
	/** False, or with what TLS is to be negotiated. */
	readonly ssl: unknown;
	/** Options, connection string, environment and defaults in one: what it tells the server when it connects. */
	readonly connectionParameters: { application_name: ApplicationName | undefined; readonly sslnegotiation?: string };
	/** Queries are sent without waiting for what the server says to those before them. */
	readonly pipeline: boolean;
	/** Of the latest ReadyForQuery: `I` outside of a transaction. */
	readonly _txStatus: "I" | "T" | "E" | null;
	/** Hears an ErrorResponse, and tells the query that the server answers. */
	_handleErrorMessage(message: ServerMessage): void;
	/** Sends the next query if the server is ready. Every query passes here: at once, or when its turn comes. */
	_pulseQueryQueue(): void;
}

/** A query of pg (`lib/query.js`). Of a cursor, a COPY, whatever else `client.query` takes, only `handleError` is there. */
export interface PgQueryInternals {
	readonly text: string;
	readonly values?: readonly unknown[] | undefined;
	/** Under which the server is to keep it; pg parses it when `parsedStatements` does not have it. */
	name?: string | undefined;
	readonly portal?: string | undefined;
	readonly rows?: number | undefined;
	readonly types?: unknown;
	readonly queryMode?: string | undefined;
	readonly binary?: boolean | undefined;
	readonly callback?: unknown;
	/** Whether it goes by the extended protocol. Asked when it is sent, before the name is looked at. */
	requiresPreparation(): boolean;
	handleError(error: Error, connection: PgConnectionInternals): void;
}

/** `lib/connection.js`: the wire protocol over one stream, which is replaced once when TLS is negotiated. */
export interface PgConnectionInternals extends EventEmitter {
	readonly stream: Duplex;
	/** The texts of the statements that the server has parsed, and of those that it has yet to parse, by name. */
	readonly parsedStatements: Record<string, string>;
	readonly submittedNamedStatements: Record<string, string>;
	/** Called with the stream that carries the protocol. */
	attachListeners(stream: Duplex): void;
	close(message: unknown, more?: boolean): void;
	connect(port: number, host: string): void;
	connect(path: string): void;
	/** Asks for TLS. */
	requestSsl(): void;
	/** Sends a CancelRequest, which stands in place of a start-up. */
	cancel(processID: number | undefined, secretKey: number | undefined): void;
	/** The socket is open; with TLS, it is encrypted as well; it has closed. */
	on(event: "connect" | "sslconnect" | "end", listener: () => void): this;
	on(event: "error", listener: (error: Error) => void): this;
	/** An ErrorResponse or a NoticeResponse of the server. */
	on(event: "errorMessage" | "notice", listener: (message: ServerMessage) => void): this;
	/** A setting of the session, when it is opened and whenever it changes. */
	on(event: "parameterStatus", listener: (message: ParameterStatus) => void): this;
	/** The parameters of a query have arrived: from now on it runs. */
	on(event: "bindComplete", listener: () => void): this;
	/** A statement has run; the text says what it was. */
	on(event: "commandComplete", listener: (message: { readonly text: string }) => void): this;
	/** The server has nothing more to say for now. */
	on(event: "readyForQuery" | "portalSuspended" | "copyInResponse", listener: () => void): this;
	emit(event: "readyForQuery", message: { status: null }): boolean;
}

interface ParameterStatus {
	readonly parameterName: string;
	readonly parameterValue: string;
}

/** A client as it is inside. */
export function internals(client: pg.Client): PgClientInternals {
	return client as unknown as PgClientInternals;
}

/** @throws Error naming the member that this pg does not have any more */
export function assertPgInternals(): void {
	const client = pg.Client.prototype as unknown as Record<string, unknown>;
	const connection = pg.Connection.prototype as unknown as Record<string, unknown>;
	const query = pg.Query.prototype as unknown as Record<string, unknown>;
	const missing = [
		...["_getActiveQuery", "_handleErrorMessage", "_pulseQueryQueue"].filter((name) => typeof client[name] !== "function"),
		...["attachListeners", "cancel", "close", "requestSsl"].filter((name) => typeof connection[name] !== "function"),
		...["requiresPreparation"].filter((name) => typeof query[name] !== "function"),
	];
	if (missing.length > 0) {
		throw new Error(
			`@forksafe/pg relies on ${missing.join(", ")} of pg 8.23, which this pg does not have ` +
				"(another version, or pg-native by NODE_PG_FORCE_NATIVE)",
		);
	}
}
