import { ForkSafePostgres } from "@forksafe/knex";
import type { Client, QueryResult } from "pg";
import { type KnexDialect, knexFaceOver } from "./knex-dialect.ts";
import { postgresView } from "./postgres-view.ts";
import { BACKEND, ECHO, forKnex, INSERT, SLEEP } from "./statements.ts";

export const knexPostgres: KnexDialect = {
	clients: { ours: ForkSafePostgres, plain: "pg" },
	statements: { echo: forKnex(ECHO), insert: forKnex(INSERT), sleep: forKnex(SLEEP), backend: forKnex(BACKEND) },
	answer(result) {
		const [row] = (result as QueryResult<{ answer: string }>).rows;
		if (row === undefined) throw new Error("no row");
		return row.answer;
	},
	end: (connection) => (connection as Client).end(),
};

const server = { library: "knex", server: postgresView } as const;

export const knexFace = knexFaceOver(knexPostgres, { name: "Knex", isProtected: true, ...server });
export const plainKnexFace = knexFaceOver(knexPostgres, { name: "plain Knex", isProtected: false, ...server });
