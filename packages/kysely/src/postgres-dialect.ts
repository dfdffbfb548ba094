import { OptionError, rejectUnknownOptions } from "@forksafe/core";
import { Client, Pool, type PoolConfig } from "@forksafe/pg";
import { type Driver, PostgresDialect, type PostgresDialectConfig } from "kysely";
import { checkFunctions, type GivenPool, type OpenPool, poolOpener } from "./given-pool.ts";
import type { Hooks } from "./lender.ts";
import { ForkSafePostgresDriver, type PostgresSettings } from "./postgres-driver.ts";

/** What Kysely's PostgresDialect takes, with a pool of @forksafe/pg or its options. */
export interface ForkSafePostgresDialectConfig extends Hooks {
	/**
	 * Options for a pool of the dialect's own, a pool, or a function that returns one when the first query needs it.
	 * `db.destroy()` ends it, whoever has made it.
	 */
	pool: GivenPool<Pool, PoolConfig>;
	/** `Cursor` of pg-cursor, for `stream()`. */
	cursor?: PostgresDialectConfig["cursor"] | undefined;
	/** The class of the connections on which Kysely 0.29 kills sessions. @default the pool's `Client` */
	controlClient?: typeof Client | undefined;
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
	readonly #createDriver: () => Driver;

	constructor(config: ForkSafePostgresDialectConfig) {
		rejectUnknownOptions(config, ["pool", "cursor", "controlClient", "onCreateConnection", "onReserveConnection"]);
		checkFunctions(config, ["cursor", "onCreateConnection", "onReserveConnection"]);
		checkControlClient(config.controlClient);
		const { cursor, controlClient, onCreateConnection, onReserveConnection } = config;
		const settings: PostgresSettings = { ...(cursor && { cursor }), ...(controlClient && { controlClient }) };
		const openPool: OpenPool<Pool> = poolOpener(config.pool, Pool, "@forksafe/pg");
		super({ ...settings, pool: async () => openPool(undefined) });
		this.#createDriver = () => new ForkSafePostgresDriver(openPool, { onCreateConnection, onReserveConnection }, settings);
	}

	override createDriver(): Driver {
		return this.#createDriver();
	}
}

/**
 * Kysely remembers the pid of a backend, and cancels by it on a connection of this class. One of ours looks first who this
 * process is; another one would cancel the parent's query.
 */
function checkControlClient(type: unknown): void {
	if (type === undefined) return;
	if (typeof type === "function" && (type === Client || type.prototype instanceof Client)) return;
	throw new OptionError("controlClient", type, "must be the Client of @forksafe/pg or extend it: leave it out");
}
