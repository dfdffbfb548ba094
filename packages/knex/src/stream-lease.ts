import type { KnexClientInternals, KnexConnection, KnexRunnerInternals } from "./knex-internals.ts";

/**
 * In place of a Runner's `stream`: what it has acquired is released once, and nothing else.
 *
 * Knex releases when the query has ended and again when the stream is closed, whoever has the connection by then: another
 * caller can be given one that is inside somebody's transaction (knex#6288). So a stream runs over its client with a lease
 * between the two. What it ignores is Knex's own second release, which no application can help.
 */
export function leasedStream(this: KnexRunnerInternals, ...args: unknown[]): unknown {
	this.client = withLease(this.client);
	const { stream: knexStream } = Object.getPrototypeOf(this) as KnexRunnerInternals;
	return knexStream.apply(this, args);
}

/** Everything but these three is the client's own. */
function withLease(client: KnexClientInternals): KnexClientInternals {
	let held: KnexConnection | undefined;
	const lease: Pick<KnexClientInternals, "acquireConnection" | "releaseConnection" | "stream"> = {
		async acquireConnection() {
			held = await client.acquireConnection();
			return held;
		},
		async releaseConnection(connection) {
			// Released before, brought by the application, or (Knex 3.1) not there yet when the stream was destroyed.
			if (held === undefined) return;
			held = undefined;
			await client.releaseConnection(connection);
		},
		/** Knex would wait for ever for the end of a query that nobody reads, and keep the connection. */
		stream(connection, query, output, options) {
			return output.destroyed ? Promise.resolve() : client.stream(connection, query, output, options);
		},
	};
	return Object.assign(Object.create(client) as KnexClientInternals, lease);
}
