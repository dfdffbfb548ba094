import { Pool } from "@forksafe/pg";
import pg from "pg";
import type { Face, Held, OpenOptions, Subject } from "./face.ts";
import { postgresView } from "./postgres-view.ts";
import { BACKEND, ECHO, INSERT, SLEEP } from "./statements.ts";

export const pgFace: Face = {
	name: "pg Pool",
	library: "pg",
	isProtected: true,
	open: ({ url, ...options }) => subject(new Pool({ connectionString: url, ...options })),
	server: postgresView,
};

export const plainPgFace: Face = {
	name: "plain pg Pool",
	library: "pg",
	isProtected: false,
	open: ({ url, max, min, idleTimeoutMillis }: OpenOptions) => {
		const pool = new pg.Pool({ connectionString: url, max, min, idleTimeoutMillis });
		pool.on("error", () => {});
		return subject(pool);
	},
	server: postgresView,
};

function subject(pool: pg.Pool): Subject {
	return {
		echo: async (text) => answer(await pool.query(ECHO, [text])),
		insert: async (key) => void (await pool.query(INSERT, [key])),
		sleep: async (millis) => void (await pool.query(SLEEP, [millis])),
		hold: async () => held(await pool.connect()),
		counts: () => ({ used: pool.totalCount - pool.idleCount, idle: pool.idleCount, pending: pool.waitingCount }),
		end: () => pool.end(),
	};
}

function held(client: pg.PoolClient): Held {
	return {
		raw: client,
		backend: async () => answer(await client.query(BACKEND)),
		echo: async (text) => answer(await client.query(ECHO, [text])),
		insert: async (key) => void (await client.query(INSERT, [key])),
		end: () => client.end(),
		release: () => client.release(),
	};
}

function answer({ rows }: pg.QueryResult<{ answer: string }>): string {
	const [row] = rows;
	if (row === undefined) throw new Error("no row");
	return row.answer;
}
