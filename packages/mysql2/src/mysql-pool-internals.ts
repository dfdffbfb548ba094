/**
 * What forksafe relies on inside mysql2's pool, read from mysql2 3.24.6 (`lib/base/pool.js`, `lib/pool_connection.js`,
 * `lib/pool_config.js`). Apart from the connection's, so that whoever guards connections need not load mysql2.
 */
import mysql from "mysql2";

/** `lib/pool_config.js` */
export interface MysqlPoolConfig {
	readonly connectionConfig: { readonly connectTimeout: number };
	readonly connectionLimit: number;
	readonly maxIdle: number;
	readonly idleTimeout: number;
	readonly queueLimit: number;
	readonly waitForConnections: boolean;
	readonly resetOnRelease: boolean;
}

/** `lib/base/pool.js`: what a connection of a pool calls when it comes back (`releaseConnection`) or is lost or ended. */
export interface MysqlPoolInternals extends mysql.Pool {
	_closed: boolean;
	/** Each connection has its own: `changeUser` writes into it. */
	_createConnectionConfig(): object;
}

/** `lib/pool_connection.js` */
export interface MysqlPoolConnection extends mysql.PoolConnection {
	/** Null once it has left its pool. */
	_pool: object | null;
	/** It was given back, and not handed out since. */
	_released: boolean;
}

interface MysqlClasses {
	/** `_closed` and the queues of the base class are there, and unused. */
	readonly Pool: new (options: {
		config: MysqlPoolConfig;
	}) => MysqlPoolInternals;
	readonly PoolConnection: new (pool: mysql.Pool, options: { config: object }) => MysqlPoolConnection;
}

/** In mysql2's types the one is no class, and the other's constructor has no parameters. */
export const classes: MysqlClasses = mysql as unknown as MysqlClasses;

/** @throws Error when this version of mysql2 has no such classes any more */
export function assertMysqlPool(): void {
	const { Pool, PoolConnection } = classes;
	const members = [Pool?.prototype.getConnection, Pool?.prototype._createConnectionConfig, PoolConnection?.prototype.release];
	if (members.some((member) => typeof member !== "function")) {
		throw new Error("@forksafe/mysql2 relies on the classes Pool and PoolConnection of mysql2, which this version changed");
	}
}
