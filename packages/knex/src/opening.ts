import { asyncContext } from "./async-context.ts";
import type { KnexConnection } from "./knex-internals.ts";

/** A `create` in progress, with the connection that it has opened so far. */
interface Opening<C extends KnexConnection = KnexConnection> {
	readonly signal: AbortSignal;
	connection?: C;
}

const opening = asyncContext<Opening>();
const connectErrors = new WeakSet<object>();

/**
 * A connection is opened next, unless nobody waits for it any more: Knex may have waited for a `connection` function, and the
 * process may be another one since. Knex also opens connections beside its pool (to cancel a query), which belong to no create.
 *
 * @returns to be told of the connection
 * @throws why the create was given up
 */
export function beginOpening(pool: { look(): void } | undefined): (connection: KnexConnection) => void {
	const current = opening.getStore();
	if (current === undefined) return () => {};
	pool?.look();
	current.signal.throwIfAborted();
	return (connection) => {
		current.connection = connection;
	};
}

/**
 * Closes the connection when the version check, `searchPath` or `afterCreate` fails or takes too long: Knex leaks it.
 *
 * @param giveUp closes a connection that nobody waits for any more
 */
export async function open<C extends KnexConnection>(
	create: () => Promise<C>,
	signal: AbortSignal,
	giveUp: (connection: C) => void,
): Promise<C> {
	const current: Opening<C> = { signal };
	const close = (): void => {
		if (current.connection !== undefined) giveUp(current.connection);
	};
	signal.addEventListener("abort", close, { once: true });
	try {
		return await opening.run(current as Opening, create);
	} catch (error) {
		close();
		throw error;
	} finally {
		signal.removeEventListener("abort", close);
		// Whatever else came to be in this context may live for as long as the process does.
		delete current.connection;
	}
}

/** What a client could not connect for. Whatever else fails in a create is the application's own, and does not pass by itself. */
export async function noteConnectError<T>(connect: () => Promise<T>): Promise<T> {
	try {
		return await connect();
	} catch (error) {
		connectErrors.add(error as object);
		throw error;
	}
}

export function isConnectError(error: unknown): boolean {
	return connectErrors.has(error as object);
}
