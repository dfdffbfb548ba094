/** Knex over mysql2 and MariaDB. */
import { forkSafe } from "@forksafe/knex";
import type { Connection } from "mysql2";
import { type KnexDialect, knexFaceOver } from "./knex-dialect.ts";
import { MARIADB_STATEMENTS, mariadbView } from "./mariadb-view.ts";

export const knexMysql: KnexDialect = {
	clients: { ours: forkSafe("mysql2"), plain: "mysql2" },
	statements: MARIADB_STATEMENTS,
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
