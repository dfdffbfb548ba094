import { createPool, type Pool, type PoolOptions } from "@forksafe/mysql2";
import { type Generated, Kysely, sql } from "kysely";
import { afterThisTest } from "../../../../test/support/after-this-test.ts";
import { forgetConnections } from "../../../../test/support/fake-process.ts";
import { askMariadb } from "../../../../test/support/mariadb.ts";
import { mariadbUrl } from "../../../../test/support/server-urls.ts";
import { ForkSafeMysqlDialect, type ForkSafeMysqlDialectConfig } from "../../src/mysql-dialect.ts";

/** The tables that tests make. */
export interface Tables {
	words: { id: Generated<number>; word: string };
}

/** Options of a pool of one connection. */
export const options = (more: PoolOptions = {}): PoolOptions => ({ uri: mariadbUrl("TCP"), connectionLimit: 1, ...more });
export const pooled = (more?: PoolOptions): Pool => createPool(options(more));

/** A Kysely that is destroyed after the test; what is held is let go. */
export function open(config: Partial<ForkSafeMysqlDialectConfig> = {}): Kysely<Tables> {
	const db = new Kysely<Tables>({ dialect: new ForkSafeMysqlDialect({ pool: options(), ...config }) });
	afterThisTest(async () => {
		forgetConnections();
		await db.destroy();
	});
	return db;
}

export async function sessionOf(db: Kysely<Tables>): Promise<number> {
	const { rows } = await sql<{ id: number }>`select connection_id() as id`.execute(db);
	return Number(rows[0]?.id);
}

/** The server has this session, and it is at a query that begins so. */
export async function isRunning(session: number, query: string): Promise<boolean> {
	const text = "select id from information_schema.processlist where id = ? and coalesce(info, '') like ?";
	return (await askMariadb(mariadbUrl("TCP"), text, [session, `${query}%`])).length === 1;
}
