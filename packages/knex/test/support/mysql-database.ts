import type { Guarded } from "@forksafe/mysql2";
import knex, { type Knex } from "knex";
import type { Connection as MysqlConnection } from "mysql2";
import { forgetConnections } from "../../../../test/support/fake-process.ts";
import { askMariadb } from "../../../../test/support/mariadb.ts";
import { mariadbUrl, type Transport } from "../../../../test/support/server-urls.ts";
import { untilTrue } from "../../../../test/support/until-true.ts";
import { forkSafe, type KnexClientClass, type TarnPool } from "../../src/index.ts";
import { newName } from "./database.ts";
import { dialectOf31, knex31 } from "./subjects.ts";

/** A Knex over MariaDB under test. */
export interface MysqlDatabase {
	readonly db: Knex;
	/** The database, which nobody else has: by it the server tells its sessions. */
	readonly name: string;
	readonly warnings: string[];
}

export type Connection = MysqlConnection & Guarded;

export interface MysqlSubject {
	readonly name: string;
	readonly isOurs: boolean;
	open(config?: Knex.Config, transport?: Transport): Promise<MysqlDatabase>;
}

const opened = new Map<Knex, string>();

/** Knex over mysql2 as it is, and with our client. */
export const mysqlSubjects: readonly MysqlSubject[] = [
	subject("Knex 3.3", knex, "mysql2"),
	subject("forksafe over Knex 3.3", knex, forkSafe("mysql2")),
	subject("Knex 3.1", knex31, "mysql2"),
	subject("forksafe over Knex 3.1", knex31, forkSafe(dialectOf31("mysql2"))),
];

/** What is expected of ours only, over the newest Knex. */
export const openMysql: MysqlSubject["open"] = (mysqlSubjects[1] as MysqlSubject).open;

function subject(name: string, make: typeof knex, client: "mysql2" | KnexClientClass): MysqlSubject {
	return {
		name,
		isOurs: client !== "mysql2",
		async open(config = {}, transport = "TCP") {
			const database = newName();
			await askServer(`create database \`${database}\``);
			const connection = urlOf(database, transport);
			const warnings: string[] = [];
			const log = { warn: (message: unknown) => void warnings.push(String(message)) };
			const db = make({ client, connection, log, pool: { min: 0, max: 2 }, ...config });
			opened.set(db, database);
			return { db, name: database, warnings };
		},
	};
}

/** For `afterEach`. */
export async function destroyMysql(): Promise<void> {
	// Whatever a test still holds is let go, or destroy() would wait for it.
	forgetConnections();
	const databases = [...opened];
	opened.clear();
	await Promise.all(databases.map(([db]) => db.destroy()));
	for (const [, database] of databases) {
		await killSessions(database);
		await askServer(`drop database \`${database}\``);
	}
}

/** The url of this database. */
export function urlOf(database: string, transport: Transport = "TCP"): string {
	const url = new URL(mariadbUrl(transport));
	url.pathname = `/${database}`;
	return url.href;
}

/** One statement on a connection of its own, which is not ours. */
export function askServer<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
	return askMariadb<Row>(mariadbUrl("TCP"), sql, values);
}

/** The ids of the sessions over this database; with a statement, of those that are at it. */
export async function sessionsOf(database: string, sql = ""): Promise<number[]> {
	const rows = await askServer<{ id: number | string }>(
		"select id from information_schema.processlist where db = ? and coalesce(info, '') like ?",
		[database, `${sql}%`],
	);
	return rows.map(({ id }) => Number(id));
}

/** The server is at this statement. */
export function untilRunning(database: string, sql: string): Promise<void> {
	return untilTrue(async () => (await sessionsOf(database, sql)).length === 1, { what: `the server is at ${sql}` });
}

/** Ends all sessions over this database from the server's side. */
export async function killSessions(database: string): Promise<void> {
	for (const id of await sessionsOf(database)) await askServer("kill ?", [id]).catch(() => {}); // it may have gone
	await untilTrue(async () => (await sessionsOf(database)).length === 0, { what: "the sessions have gone" });
}

export function mysqlPoolOf(db: Knex): TarnPool<Connection> {
	return db.client.pool;
}

export function holdMysql(db: Knex): Promise<Connection> {
	return db.client.acquireConnection();
}

/** The server's id of the session that answers. */
export async function sessionOf(db: Knex, connection?: Connection): Promise<number> {
	const query = db.raw("select connection_id() as id");
	const [rows] = await (connection === undefined ? query : query.connection(connection));
	return rows[0].id;
}
