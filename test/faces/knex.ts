import { ForkSafePostgres } from "@forksafe/knex";
import knex, { type Knex } from "knex";
import type { Client, QueryResult } from "pg";
import type { Face, Held, OpenOptions, Subject } from "./face.ts";
import type { KnexDialect } from "./knex-dialect.ts";
import { postgresView } from "./postgres-view.ts";
import { BACKEND, ECHO, forKnex, INSERT, SLEEP } from "./statements.ts";

export const knexFace: Face = {
	name: "Knex",
	library: "knex",
	isProtected: true,
	open: (options) => subject(openKnex(true, options)),
	server: postgresView,
};

export const plainKnexFace: Face = {
	name: "plain Knex",
	library: "knex",
	isProtected: false,
	open: ({ url, max, min = 0, idleTimeoutMillis = 30_000 }) => subject(openKnex(false, { url, max, min, idleTimeoutMillis })),
	server: postgresView,
};

export const knexPostgres: KnexDialect = {
	open: openKnex,
	statements: { echo: forKnex(ECHO), insert: forKnex(INSERT), sleep: forKnex(SLEEP), backend: forKnex(BACKEND) },
	answer: (result) => answer(result as QueryResult<{ answer: string }>),
};

/** A Knex of ours, or a plain one. */
function openKnex(isProtected: boolean, { url, ...pool }: OpenOptions): Knex {
	const client = isProtected ? ForkSafePostgres : "pg";
	return knex({ client, connection: url, pool: { min: 0, ...pool }, log: { warn() {} } });
}

function subject(db: Knex): Subject {
	return {
		echo: async (text) => answer(await db.raw(forKnex(ECHO), [text])),
		insert: async (key) => void (await db.raw(forKnex(INSERT), [key])),
		sleep: async (millis) => void (await db.raw(forKnex(SLEEP), [millis])),
		hold: async () => held(db, (await db.client.acquireConnection()) as Client),
		counts: () => {
			const { pool } = db.client;
			// destroy() takes the pool away.
			if (pool === undefined) return { used: 0, idle: 0, pending: 0 };
			return { used: pool.numUsed(), idle: pool.numFree(), pending: pool.numPendingAcquires() };
		},
		end: () => db.destroy(),
	};
}

function held(db: Knex, connection: Client): Held {
	const ask = async (statement: string, values: string[]): Promise<QueryResult<{ answer: string }>> =>
		db.raw(forKnex(statement), values).connection(connection);
	return {
		raw: connection,
		backend: async () => answer(await ask(BACKEND, [])),
		echo: async (text) => answer(await ask(ECHO, [text])),
		insert: async (key) => void (await ask(INSERT, [key])),
		end: () => connection.end(),
		release: () => db.client.releaseConnection(connection),
	};
}

function answer({ rows }: QueryResult<{ answer: string }>): string {
	const [row] = rows;
	if (row === undefined) throw new Error("no row");
	return row.answer;
}
