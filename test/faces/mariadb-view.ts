import { askMariadb } from "../support/mariadb.ts";
import type { ServerView } from "./face.ts";

/** The same statements, through every face that speaks to MariaDB. */
export const MARIADB_STATEMENTS = {
	echo: "select ? as answer",
	insert: "insert into traces (`key`) values (?)",
	sleep: "select sleep(? / 1000)",
	backend: "select connection_id() as answer",
} as const;

export const mariadbView: ServerView = {
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

/** A database of its own: by its name the server tells the sessions of one program from those of the others. */
export async function createTraces(url: string, name: string): Promise<string> {
	await askMariadb(url, `create database \`${name}\``);
	const own = new URL(url);
	own.pathname = `/${name}`;
	await askMariadb(own.href, "create table traces (`key` varchar(200) not null)");
	return own.href;
}
