import type { KnexClientInternals, KnexConnection, KnexRunnerInternals } from "./knex-internals.ts";

/** Hears of a release that was ignored: whoever has the connection by now keeps it. */
export type OnLateRelease = (connection: KnexConnection) => void;

/**
 * In place of a Runner's `stream`: what it has acquired is released once, and nothing else.
 *
 * Knex releases when the query has ended and again when the stream is closed, whoever has the connection by then: another
 * caller can be given one that is inside somebody's transaction (knex#6288). So a stream runs over its client with a lease
 * between the two.
 *
 * @param onLateRelease finds who hears of a release that was ignored
 */
export function leasedStream(
	onLateRelease: (client: KnexClientInternals) => OnLateRelease,
): (this: KnexRunnerInternals, ...args: unknown[]) => unknown {
	return function stream(this: KnexRunnerInternals, ...args: unknown[]): unknown {
		const { client } = this;
		this.client = withLease(client, onLateRelease(client));
		const { stream: knexStream } = Object.getPrototypeOf(this) as KnexRunnerInternals;
		return knexStream.apply(this, args);
	};
}

/** Everything but these three is the client's own. */
function withLease(client: KnexClientInternals, onLateRelease: OnLateRelease): KnexClientInternals {
	let held: KnexConnection | undefined;
	let isReleased = false;
	const lease: Pick<KnexClientInternals, "acquireConnection" | "releaseConnection" | "stream"> = {
		async acquireConnection() {
			held = await client.acquireConnection();
			return held;
		},
		async releaseConnection(connection) {
			if (held === undefined) {
				// The application has brought a connection of its own, or (Knex 3.1) the stream was destroyed before there was one.
				if (isReleased) onLateRelease(connection);
				return;
			}
			held = undefined;
			isReleased = true;
			await client.releaseConnection(connection);
		},
		/** Knex would wait for ever for the end of a query that nobody reads, and keep the connection. */
		stream(connection, query, output, options) {
			return output.destroyed ? Promise.resolve() : client.stream(connection, query, output, options);
		},
	};
	return Object.assign(Object.create(client) as KnexClientInternals, lease);
}
