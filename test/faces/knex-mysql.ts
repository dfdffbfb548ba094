/** Knex over mysql2 and MariaDB. */
import { forkSafe } from "@forksafe/knex";
import knex, { type Knex } from "knex";
import type { Connection } from "mysql2";
import { askMariadb } from "../support/mariadb.ts";
import type { Face, Held, OpenOptions, ServerView, Subject } from "./face.ts";
import type { KnexDialect } from "./knex-dialect.ts";

const ECHO = "select ? as answer";
const INSERT = "insert into traces (`key`) values (?)";
const SLEEP = "select sleep(? / 1000)";
const BACKEND = "select connection_id() as answer";

const mariadbView: ServerView = {
	async sessions(url) {
		const rows = await askMariadb<{ id: number | string }>(
			url,
			"select id from information_schema.processlist where db = database() and id <> connection_id()",
		);
		return new Set(rows.map(({ id }) => String(id)));
	},
	async traces(url, key) {
		const [row] = await askMariadb<{ n: number | string }>(url, "select count(*) as n from traces where `key` = ?", [key]);
		return Number(row?.n ?? 0);
	},
};

export const knexMysqlFace: Face = {
	name: "Knex over MariaDB",
	library: "knex-mysql",
	isProtected: true,
	open: (options) => subject(openKnexMysql(true, options)),
	server: mariadbView,
};

export const plainKnexMysqlFace: Face = {
	name: "plain Knex over MariaDB",
	library: "knex-mysql",
	isProtected: false,
	open: ({ url, max, min = 0, idleTimeoutMillis = 30_000 }) =>
		subject(openKnexMysql(false, { url, max, min, idleTimeoutMillis })),
	server: mariadbView,
};

export const knexMysql: KnexDialect = {
	open: openKnexMysql,
	statements: { echo: ECHO, insert: INSERT, sleep: SLEEP, backend: BACKEND },
	answer: (result) => answer(result as Answer),
};

/** A Knex of ours over mysql2, or a plain one. */
function openKnexMysql(isProtected: boolean, { url, ...pool }: OpenOptions): Knex {
	const client = isProtected ? forkSafe("mysql2") : "mysql2";
	return knex({ client, connection: url, pool: { min: 0, ...pool }, log: { warn() {} } });
}

/** A database of its own: by its name the server tells the sessions of one program from those of the others. */
export async function createTraces(url: string, name: string): Promise<string> {
	await askMariadb(url, `create database \`${name}\``);
	const own = new URL(url);
	own.pathname = `/${name}`;
	await askMariadb(own.href, "create table traces (`key` varchar(200) not null)");
	return own.href;
}

function subject(db: Knex): Subject {
	return {
		echo: async (text) => answer(await db.raw(ECHO, [text])),
		insert: async (key) => void (await db.raw(INSERT, [key])),
		sleep: async (millis) => void (await db.raw(SLEEP, [millis])),
		hold: async () => held(db, (await db.client.acquireConnection()) as Connection),
		counts: () => {
			const { pool } = db.client;
			// destroy() takes the pool away.
			if (pool === undefined) return { used: 0, idle: 0, pending: 0 };
			return { used: pool.numUsed(), idle: pool.numFree(), pending: pool.numPendingAcquires() };
		},
		end: () => db.destroy(),
	};
}

/** Rows and fields. */
type Answer = readonly unknown[];

function held(db: Knex, connection: Connection): Held {
	const ask = async (statement: string, values: string[]): Promise<Answer> => db.raw(statement, values).connection(connection);
	return {
		raw: connection,
		backend: async () => answer(await ask(BACKEND, [])),
		echo: async (text) => answer(await ask(ECHO, [text])),
		insert: async (key) => void (await ask(INSERT, [key])),
		end: () => new Promise((resolve, reject) => connection.end((error) => (error ? reject(error) : resolve()))),
		release: () => db.client.releaseConnection(connection),
	};
}

function answer([rows]: Answer): string {
	const [row] = rows as { answer: string | number }[];
	if (row === undefined) throw new Error("no row");
	return String(row.answer);
}
