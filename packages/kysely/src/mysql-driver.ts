import { guard, type Pool, type PoolConnection } from "@forksafe/mysql2";
import { type DatabaseConnection, type MysqlDialectConfig, MysqlDriver } from "kysely";
import type { Connection } from "mysql2";
import type { OpenPool } from "./given-pool.ts";
import { type AbortableOptions, type Hooks, Lender } from "./lender.ts";

/** mysql2's `createConnection`. */
export interface CreateConnection {
	(uri: string): Connection;
	(config: object): Connection;
}

/** Kysely's MysqlDriver, whose connections come through a {@link Lender}. */
export class ForkSafeMysqlDriver extends MysqlDriver {
	readonly #lender: Lender<PoolConnection>;

	constructor(openPool: OpenPool<Pool>, hooks: Hooks, settings: MysqlSettings) {
		const lender = new Lender<PoolConnection>(hooks, (connection, error) =>
			error === undefined ? connection.release() : connection.destroy(),
		);
		// Later versions than 0.28 give the options of the query that needs the pool first.
		super({ ...settings, pool: async (options?: AbortableOptions) => lent(await openPool(options), lender) });
		this.#lender = lender;
	}

	override acquireConnection(options?: AbortableOptions): Promise<DatabaseConnection> {
		return this.#lender.acquire(() => super.acquireConnection(), options);
	}
}

/** Kysely's own settings: 0.28 has none of them. */
export interface MysqlSettings {
	readonly controlConnection?: (given: string | object) => Connection;
}

/**
 * Kysely remembers the thread of a connection, and kills its query on such a connection. A guarded one looks first who this
 * process is, and in another one the query, which is the parent's, has failed by the time it could be killed.
 */
export function controlConnections(createConnection: CreateConnection | undefined): MysqlSettings {
	if (createConnection === undefined) return {};
	return {
		controlConnection: (given) => guard(typeof given === "string" ? createConnection(given) : createConnection(given)),
	};
}

type LentPool = Exclude<MysqlDialectConfig["pool"], (...args: never) => unknown>;

function lent(pool: Pool, lender: Lender<PoolConnection>): LentPool {
	return {
		getConnection(callback) {
			lender
				.lend((signal) => taken(pool, signal))
				.then(
					(connection) => callback(null, connection),
					(error: unknown) => callback(error, undefined as never),
				);
		},
		end: (callback) => pool.end(callback),
	};
}

function taken(pool: Pool, signal: AbortSignal | undefined): Promise<PoolConnection> {
	return new Promise((resolve, reject) => {
		pool.getConnection((error, connection) => (error ? reject(error) : resolve(connection)), { signal });
	});
}
