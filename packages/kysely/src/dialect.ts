import { OptionError, rejectUnknownOptions } from "@forksafe/core";
import { Client, Pool, type PoolConfig } from "@forksafe/pg";
import { type Driver, PostgresDialect, type PostgresDialectConfig } from "kysely";
import { type AbortableOptions, type DriverSettings, ForkSafePostgresDriver } from "./postgres-driver.ts";

/** What Kysely's PostgresDialect takes, with a pool of @forksafe/pg or its options. */
export interface ForkSafePostgresDialectConfig {
	/**
	 * Options for a pool of the dialect's own, a pool, or a function that returns one when the first query needs it.
	 * `db.destroy()` ends it, whoever has made it.
	 */
	pool: PoolConfig | Pool | ((options?: AbortableOptions) => Pool | Promise<Pool>);
	/** `Cursor` of pg-cursor, for `stream()`. */
	cursor?: PostgresDialectConfig["cursor"] | undefined;
	/** The class of the connections on which Kysely 0.29 cancels queries. @default the pool's `Client` */
	controlClient?: typeof Client | undefined;
	/** Called once for each new connection of each process. When it fails, the connection is closed, and the next one tries again. */
	onCreateConnection?: PostgresDialectConfig["onCreateConnection"] | undefined;
	/** Called each time a connection is taken from the pool. When it fails, the connection is closed. */
	onReserveConnection?: PostgresDialectConfig["onReserveConnection"] | undefined;
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
	readonly #settings: DriverSettings;

	constructor(config: ForkSafePostgresDialectConfig) {
		rejectUnknownOptions(config, ["pool", "cursor", "controlClient", "onCreateConnection", "onReserveConnection"]);
		checkOthers(config);
		const { cursor, controlClient, onCreateConnection, onReserveConnection } = config;
		const kysely = { ...(cursor && { cursor }), ...(controlClient && { controlClient }) };
		const openPool = opener(config.pool);
		super({ ...kysely, pool: async () => openPool(undefined) });
		this.#settings = { openPool, onCreateConnection, onReserveConnection, kysely };
	}

	override createDriver(): Driver {
		return new ForkSafePostgresDriver(this.#settings);
	}
}

function checkOthers(config: ForkSafePostgresDialectConfig): void {
	for (const name of ["cursor", "onCreateConnection", "onReserveConnection"] as const) {
		const value: unknown = config[name];
		if (value !== undefined && typeof value !== "function") throw new OptionError(name, value, "must be a function");
	}
	// Kysely remembers the pid of a backend, and cancels by it on a connection of this class. One of ours looks first who
	// this process is; another one would cancel the parent's query.
	const { controlClient } = config;
	if (controlClient !== undefined && !isOurs(controlClient)) {
		throw new OptionError("controlClient", controlClient, "must be the Client of @forksafe/pg or extend it: leave it out");
	}
}

function isOurs(type: unknown): boolean {
	return typeof type === "function" && (type === Client || type.prototype instanceof Client);
}

function opener(given: ForkSafePostgresDialectConfig["pool"]): DriverSettings["openPool"] {
	if (typeof given === "function") return async (options) => guarded(await given(options));
	const pool = isPlainObject(given) ? new Pool(given) : guarded(given);
	return () => pool;
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
