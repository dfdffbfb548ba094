import { OptionError, rejectUnknownOptions } from "@forksafe/core";
import { Pool, type PoolConfig } from "@forksafe/pg";
import { PostgresDialect, type PostgresDialectConfig } from "kysely";

/** What Kysely's PostgresDialect takes, with a pool of @forksafe/pg or its options. */
export interface ForkSafePostgresDialectConfig extends Omit<PostgresDialectConfig, "pool"> {
	/** Options for a pool of the dialect's own, a pool, or a function that returns one when the first query needs it. */
	pool: PoolConfig | Pool | (() => Pool | Promise<Pool>);
}

/**
 * Kysely's PostgresDialect over a pool that survives a fork.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor for options that do not exist or a pool that cannot be
 * guarded; from the first query when a function returns such a pool
 * @example
 * ```ts
 * const db = new Kysely<Database>({
 * 	dialect: new ForkSafePostgresDialect({ pool: { connectionString: process.env.DATABASE_URL, max: 10 } }),
 * });
 * ```
 */
export class ForkSafePostgresDialect extends PostgresDialect {
	constructor(config: ForkSafePostgresDialectConfig) {
		rejectUnknownOptions(config, ["pool", "cursor", "controlClient", "onCreateConnection", "onReserveConnection"]);
		super({ ...config, pool: kyselyPool(config.pool) });
	}
}

function kyselyPool(pool: ForkSafePostgresDialectConfig["pool"]): PostgresDialectConfig["pool"] {
	if (typeof pool === "function") return async () => guarded(await pool());
	return isPlainObject(pool) ? new Pool(pool) : guarded(pool);
}

function guarded(pool: unknown): Pool {
	if (pool instanceof Pool) return pool;
	throw new OptionError(
		"pool",
		pool,
		"must be a Pool of @forksafe/pg, its options, or a function that returns one: the connections of another pool are not guarded",
		false, // a url, perhaps, with a password in it
	);
}

function isPlainObject(value: unknown): value is PoolConfig {
	if (typeof value !== "object" || value === null) return false;
	const prototype: unknown = Object.getPrototypeOf(value);
	return prototype === Object.prototype || prototype === null;
}
