import { once } from "node:events";
import pg from "pg";
import type { Client } from "./client.ts";
import { internals, type PgConnectionInternals } from "./pg-internals.ts";

/** The server reads 16 bytes, sends a signal, and closes. */
const CANCEL_TIMEOUT_MILLIS = 5_000;

/**
 * Asks the server to stop what a client runs, by the protocol's CancelRequest, as `PQcancel` of libpq does. Unlike
 * `pg_cancel_backend` it needs no session, so that a full server takes it too, and it goes through PgBouncer, where `processID`
 * is PgBouncer's own key and no backend's pid. The query then fails with 57014, if it was not over before.
 *
 * Does nothing when the client runs nothing. A query that waits behind another one on the same client is not touched.
 *
 * @throws InheritedConnectionError (ERR_FORKSAFE_INHERITED) when another process has opened the client; what the socket says
 * when the server cannot be reached; Error after 5 s
 * @example
 * ```ts
 * const slow = client.query("select pg_sleep(60)");
 * await cancelQuery(client);
 * await slow; // rejects: canceling statement due to user request
 * ```
 */
export async function cancelQuery(client: Client): Promise<void> {
	client.assertOwn();
	const inside = internals(client);
	const query = inside._getActiveQuery();
	if (query === null) return;
	const { host, port, ssl } = client;
	const connection = new pg.Connection(client.wireOptions) as unknown as PgConnectionInternals;
	const gone = once(connection, "end", { signal: AbortSignal.timeout(CANCEL_TIMEOUT_MILLIS) });
	let isSent = false;
	const failed = new Promise<never>((_, reject) => {
		// A reset after the request is one way to close.
		connection.on("error", (error) => isSent || reject(error));
	});
	const send = (): void => {
		// Meanwhile the client may run another query, and this process may be another one.
		if (inside._getActiveQuery() !== query || client.isInherited()) {
			connection.stream.destroy();
			return;
		}
		isSent = true;
		connection.cancel(client.processID, client.secretKey);
	};
	connection.on("connect", () => {
		if (!ssl) send();
		else if (client.wireOptions.sslNegotiation !== "direct") connection.requestSsl();
	});
	connection.on("sslconnect", send);
	if (host.startsWith("/")) connection.connect(`${host}/.s.PGSQL.${port}`);
	else connection.connect(port, host);
	try {
		await Promise.race([gone, failed]);
	} catch (error) {
		if (!(error instanceof Error && error.name === "AbortError")) throw error;
		throw new Error(`the server has not taken the request to cancel a query within ${CANCEL_TIMEOUT_MILLIS} ms`, {
			cause: error,
		});
	} finally {
		gone.catch(() => {});
		connection.stream.destroy();
	}
}
