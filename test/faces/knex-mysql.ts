/** Knex over mysql2 and MariaDB. */
import { forkSafe } from "@forksafe/knex";
import type { Connection } from "mysql2";
import { askMariadb } from "../support/mariadb.ts";
import type { ServerView } from "./face.ts";
import { type KnexDialect, knexFaceOver } from "./knex-dialect.ts";

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

export const knexMysql: KnexDialect = {
	clients: { ours: forkSafe("mysql2"), plain: "mysql2" },
	statements: {
		echo: "select ? as answer",
		insert: "insert into traces (`key`) values (?)",
		sleep: "select sleep(? / 1000)",
		backend: "select connection_id() as answer",
	},
	answer(result) {
		const [rows] = result as [{ answer: string | number }[], unknown];
		const [row] = rows;
		if (row === undefined) throw new Error("no row");
		return String(row.answer);
	},
	end: (connection) =>
		new Promise((resolve, reject) => (connection as Connection).end((error) => (error ? reject(error) : resolve()))),
};

const server = { library: "knex-mysql", server: mariadbView } as const;

export const knexMysqlFace = knexFaceOver(knexMysql, { name: "Knex over MariaDB", isProtected: true, ...server });
export const plainKnexMysqlFace = knexFaceOver(knexMysql, {
	name: "plain Knex over MariaDB",
	isProtected: false,
	...server,
});

/** A database of its own: by its name the server tells the sessions of one program from those of the others. */
export async function createTraces(url: string, name: string): Promise<string> {
	await askMariadb(url, `create database \`${name}\``);
	const own = new URL(url);
	own.pathname = `/${name}`;
	await askMariadb(own.href, "create table traces (`key` varchar(200) not null)");
	return own.href;
}
