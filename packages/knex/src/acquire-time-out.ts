import knex from "knex";
import { TimeoutError } from "tarn";
import type { KnexClientInternals, KnexConnection } from "./knex-internals.ts";

/** Calls Knex's own `acquireConnection`. When the time is up, the KnexTimeoutError has a `cause` with the numbers. */
export function explained(
	client: KnexClientInternals,
	acquireConnection: () => Promise<KnexConnection>,
): Promise<KnexConnection> {
	const acquired = isKnex31(client) ? withCause(client, acquireConnection) : acquireConnection.call(client);
	return acquired.catch(rejectAsKnex);
}

/** By what it does not have. */
export function isKnex31(client: object): boolean {
	return !("initializeExternalPool" in client);
}

/** Knex 3.1 makes an error that has no cause. */
async function withCause(client: KnexClientInternals, acquireConnection: () => Promise<KnexConnection>): Promise<KnexConnection> {
	const { pool } = client;
	if (pool === undefined) return acquireConnection.call(client);
	let cause: unknown;
	const acquire = (): { readonly promise: Promise<KnexConnection> } => {
		const pending: { readonly promise: Promise<KnexConnection> } = pool.acquire();
		// Before Knex hears of it.
		pending.promise.catch((reason: unknown) => {
			cause = reason;
		});
		return pending;
	};
	try {
		return await acquireConnection.call(Object.create(client, { pool: { value: { acquire } } }));
	} catch (error) {
		if (cause instanceof TimeoutError && error instanceof Error && error !== cause) error.cause ??= cause;
		throw error;
	}
}

/** Knex does this itself, unless it has another copy of tarn than this package. */
function rejectAsKnex(error: unknown): never {
	if (!(error instanceof TimeoutError)) throw error;
	const timeout = new knex.KnexTimeoutError("Knex: Timeout acquiring a connection. The pool is probably full.");
	throw Object.assign(timeout, { cause: error });
}
