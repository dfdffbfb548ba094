import { rejectUnknownOptions } from "@forksafe/core";
import { Pool, type PoolOptions } from "@forksafe/mysql2";
import { type Driver, MysqlDialect } from "kysely";
import { checkFunctions, type GivenPool, type OpenPool, poolOpener } from "./given-pool.ts";
import type { Hooks } from "./lender.ts";
import { type CreateConnection, controlConnections, ForkSafeMysqlDriver } from "./mysql-driver.ts";

/** What Kysely's MysqlDialect takes, with a pool of @forksafe/mysql2 or its options. */
export interface ForkSafeMysqlDialectConfig extends Hooks {
	/**
	 * Options for a pool of the dialect's own, a pool, or a function that returns one when the first query needs it.
	 * `db.destroy()` ends it, whoever has made it.
	 */
	pool: GivenPool<Pool, PoolOptions>;
	/** mysql2's `createConnection`, by which Kysely 0.29 cancels queries. Without it, it does so on a connection of the pool. */
	controlConnection?: CreateConnection | undefined;
}

/**
 * Kysely's MysqlDialect over a pool that survives a fork, for MySQL and MariaDB.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor for options that do not exist or a pool that cannot be
 * guarded; from the first query when a function returns such a pool
 * @example
 * ```ts
 * const db = new Kysely<Database>({
 * 	dialect: new ForkSafeMysqlDialect({ pool: { uri: process.env.MYSQL_URL ?? "", connectionLimit: 10 } }),
 * });
 * ```
 */
export class ForkSafeMysqlDialect extends MysqlDialect {
	readonly #createDriver: () => Driver;

	constructor(config: ForkSafeMysqlDialectConfig) {
		rejectUnknownOptions(config, ["pool", "controlConnection", "onCreateConnection", "onReserveConnection"]);
		checkFunctions(config, ["controlConnection", "onCreateConnection", "onReserveConnection"]);
		const { controlConnection, onCreateConnection, onReserveConnection } = config;
		const openPool: OpenPool<Pool> = poolOpener(config.pool, Pool, "@forksafe/mysql2");
		super({ pool: async () => openPool(undefined) });
		const hooks = { onCreateConnection, onReserveConnection };
		this.#createDriver = () => new ForkSafeMysqlDriver(openPool, hooks, controlConnections(controlConnection));
	}

	override createDriver(): Driver {
		return this.#createDriver();
	}
}
