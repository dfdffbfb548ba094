import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Face, Held, Subject } from "./face.ts";
import { postgresView } from "./postgres-view.ts";
import { BACKEND, ECHO, INSERT, SLEEP } from "./statements.ts";

export const kyselyFace: Face = {
	name: "Kysely",
	library: "kysely",
	isProtected: true,
	open: ({ url, ...options }) => {
		const pool = new Pool({ connectionString: url, ...options });
		return subject(new Kysely<unknown>({ dialect: new ForkSafePostgresDialect({ pool }) }), pool);
	},
	server: postgresView,
};

export const plainKyselyFace: Face = {
	name: "plain Kysely",
	library: "kysely",
	isProtected: false,
	open: ({ url, max, min, idleTimeoutMillis }) => {
		const pool = new pg.Pool({ connectionString: url, max, min, idleTimeoutMillis });
		pool.on("error", () => {});
		return subject(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }), pool);
	},
	server: postgresView,
};

function subject(db: Kysely<unknown>, pool: pg.Pool): Subject {
	return {
		echo: (text) => ask(db, ECHO, [text]),
		insert: async (key) => void (await ask(db, INSERT, [key])),
		sleep: async (millis) => void (await ask(db, SLEEP, [millis])),
		hold: () => hold(db, pool),
		counts: () => ({ used: pool.totalCount - pool.idleCount, idle: pool.idleCount, pending: pool.waitingCount }),
		end: () => db.destroy(),
	};
}

/** Kysely lends a connection for the time of a callback; this one ends at `release`. */
function hold(db: Kysely<unknown>, pool: pg.Pool): Promise<Held> {
	return new Promise((resolve, reject) => {
		let raw: pg.PoolClient | undefined;
		pool.once("acquire", (client: pg.PoolClient) => {
			raw = client;
		});
		const released = Promise.withResolvers<void>();
		const lent = db.connection().execute(async (connection) => {
			resolve({
				raw: raw as pg.PoolClient,
				backend: () => ask(connection, BACKEND, []),
				echo: (text) => ask(connection, ECHO, [text]),
				insert: async (key) => void (await ask(connection, INSERT, [key])),
				end: async () => raw?.end(),
				release: async () => {
					released.resolve();
					await lent;
				},
			});
			await released.promise;
		});
		lent.catch(reject);
	});
}

async function ask(db: Kysely<unknown>, statement: string, values: unknown[]): Promise<string> {
	const { rows } = await db.executeQuery<{ answer: string }>(CompiledQuery.raw(statement, values));
	return rows[0]?.answer ?? "";
}
