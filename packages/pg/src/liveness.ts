import pg from "pg";
import { type Client, giveUp } from "./client.ts";
import { internals } from "./pg-internals.ts";

/** Whether a connected client can still be used, as far as is known without asking the server. */
export function isAlive(client: Client): boolean {
	const { _queryable, _ending, _ended } = internals(client);
	return !client.isBroken && _queryable && !_ending && !_ended && client.connection.stream.writable;
}

/**
 * Asks the server whether an idle client can be used, in one round trip: by an empty query, as pgjdbc and psycopg do. It
 * takes no snapshot, is answered also in a transaction that has failed, and goes through PgBouncer in every mode.
 *
 * It takes no way that could be in use otherwise: no `query()` of a subclass, no `query_timeout`. A client that was given
 * back while its query runs is not asked, as whoever has it next would wait behind that query in pg's pool too: the answer
 * would come after the query, and its absence would end it.
 *
 * @param signal aborted when the answer is not awaited any more: the socket is closed, so that `client.end()` ends at once
 * @returns false when the answer is an error, or does not come
 */
export function ping(client: Client, signal: AbortSignal): Promise<boolean> {
	const { promise, resolve } = Promise.withResolvers<boolean>();
	const inside = internals(client);
	const onAbort = (): void => {
		giveUp(client, signal.reason);
		resolve(false);
	};
	if (signal.aborted) {
		onAbort();
	} else if (inside._getActiveQuery() || inside._sentQueryQueue.length > 0 || inside._queryQueue.length > 0) {
		resolve(true);
	} else {
		signal.addEventListener("abort", onAbort, { once: true });
		const query = new pg.Query("", (error?: Error | null) => {
			signal.removeEventListener("abort", onAbort);
			resolve(!error);
		});
		inside._queryQueue.push(query as unknown as (typeof inside._queryQueue)[number]);
		client._pulseQueryQueue();
	}
	return promise;
}
