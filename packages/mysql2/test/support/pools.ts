import mysql from "mysql2";
import { createPool, type Pool, type PoolConnection, type PoolOptions } from "../../src/index.ts";
import { afterThisTest, server } from "./set-up.ts";

/** mysql2's own pool, and ours: what mysql2 documents has to hold for both. */
export const subjects: readonly { readonly name: string; readonly open: (options?: mysql.PoolOptions) => mysql.Pool }[] = [
	{ name: "mysql2", open: (options) => endedAfterTest(mysql.createPool({ ...server(), ...options })) },
	{ name: "forksafe", open: (options) => openPool(options) },
];

/** A pool of ours over the server of this run. It is ended after the test. */
export function openPool(options: PoolOptions = {}): Pool {
	return endedAfterTest(createPool({ ...server(), ...options }));
}

function endedAfterTest<P extends mysql.Pool>(pool: P): P {
	afterThisTest(() => ended(pool).catch(() => {})); // mysql2's can be ended only once
	return pool;
}

export function ended(pool: mysql.Pool): Promise<void> {
	return new Promise((resolve, reject) => pool.end((error) => (error ? reject(error) : resolve())));
}

export function take(pool: Pool): Promise<PoolConnection>;
export function take(pool: mysql.Pool): Promise<mysql.PoolConnection>;
export function take(pool: mysql.Pool): Promise<mysql.PoolConnection> {
	return new Promise((resolve, reject) =>
		pool.getConnection((error, connection) => (error ? reject(error) : resolve(connection))),
	);
}

/** The server's name for the session that answers. */
export async function sessionOf(asked: {
	promise(): { query(sql: string): Promise<[mysql.QueryResult, unknown]> };
}): Promise<number> {
	const [rows] = await asked.promise().query("select connection_id() as id");
	return Number((rows as { id: number }[])[0]?.id);
}
