import { randomUUID } from "node:crypto";
import type { PoolConfig } from "@forksafe/pg";
import { type Dialect, type Generated, Kysely, type KyselyConfig, sql } from "kysely";
import pg from "pg";
import { forgetConnections } from "../../../../test/support/fake-process.ts";
import { ForkSafePostgresDialect, type ForkSafePostgresDialectConfig } from "../../src/index.ts";

/** The tables that tests make. */
export interface Tables {
	words: { id: Generated<number>; word: string };
}

const opened = new Set<Kysely<Tables>>();

/** Where the PostgreSQL of this run is. */
export function serverUrl(): string {
	const url = process.env["DATABASE_URL"];
	if (!url) throw new Error("no DATABASE_URL: these tests need the root hooks of mocha-servers.ts");
	return url;
}

/** Options of a pool over the server of this run, under a name that nobody else has. */
export function poolOptions(options: PoolConfig = {}): PoolConfig & { application_name: string } {
	return { connectionString: serverUrl(), ...options, application_name: `test-${randomUUID()}` };
}

/** A Kysely of ours that {@link destroyAll} destroys. */
export function open(config: ForkSafePostgresDialectConfig, options: Omit<KyselyConfig, "dialect"> = {}): Kysely<Tables> {
	return openOver(new ForkSafePostgresDialect(config), options);
}

/** The same over any dialect. */
export function openOver(dialect: Dialect, options: Omit<KyselyConfig, "dialect"> = {}): Kysely<Tables> {
	const db = new Kysely<Tables>({ dialect, ...options });
	opened.add(db);
	return db;
}

/** For `afterEach`. */
export async function destroyAll(): Promise<void> {
	// Whatever a test still holds is let go, or destroy() would wait for it.
	forgetConnections();
	const destroyed = [...opened].map((db) => db.destroy());
	opened.clear();
	await Promise.all(destroyed);
}

/** The server's pid of the session that answers. */
export async function backendOf(db: Kysely<Tables>): Promise<number> {
	const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
	return rows[0]?.pid as number;
}

/** How many sessions of this name are open, asked on a connection of its own; with a state (`active`), how many are in it. */
export async function sessions(name: string, state?: string): Promise<number> {
	const text = "select count(*)::int from pg_stat_activity where application_name = $1 and state = coalesce($2, state)";
	const client = new pg.Client({ connectionString: serverUrl() });
	await client.connect();
	try {
		return (await client.query(text, [name, state])).rows[0].count;
	} finally {
		await client.end();
	}
}
