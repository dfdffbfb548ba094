import { randomUUID } from "node:crypto";
import type { Client } from "@forksafe/pg";
import knex, { type Knex } from "knex";
import pg from "pg";
import { forgetConnections } from "../../../../test/support/fake-process.ts";
import { ForkSafePostgres, type TarnPool } from "../../src/index.ts";

/** A Knex of ours under test. */
export interface Database {
	readonly db: Knex;
	/** The `application_name` of its sessions, which nobody else has. */
	readonly name: string;
	/** What Knex has logged. */
	readonly warnings: string[];
}

const opened = new Set<Knex>();

/** Where the PostgreSQL of this run is. */
export function serverUrl(): URL {
	const url = process.env["DATABASE_URL"];
	if (!url) throw new Error("no DATABASE_URL: these tests need the root hooks of mocha-servers.ts");
	return new URL(url);
}

/** The server of this run in pg's own options, under a name that nobody else has. */
export function serverConnection(): Knex.PgConnectionConfig & { application_name: string } {
	return { connectionString: serverUrl().href, application_name: newName() };
}

/** A Knex that {@link destroyAll} destroys. Without options, of the server of this run and with Knex's defaults. */
export function open(config: Knex.Config = {}, make: typeof knex = knex): Database {
	const connection = serverConnection();
	const warnings: string[] = [];
	const log = { warn: (message: unknown) => void warnings.push(String(message)) };
	const db = make({ client: ForkSafePostgres, connection, log, ...config });
	opened.add(db);
	return { db, name: connection.application_name, warnings };
}

/** A Knex over a pool that somebody else has made. */
export function openOver(
	config: Pick<Knex.Config, "client" | "connectionPool">,
	make: typeof knex = knex,
): { readonly db: Knex } {
	const db = make({ client: ForkSafePostgres, ...config });
	opened.add(db);
	return { db };
}

/** For `afterEach`. */
export async function destroyAll(): Promise<void> {
	// Whatever a test still holds is let go, or destroy() would wait for it.
	forgetConnections();
	const destroyed = [...opened].map((db) => db.destroy());
	opened.clear();
	await Promise.all(destroyed);
}

export function newName(): string {
	return `test-${randomUUID()}`;
}

/** The pool of a Knex. */
export function poolOf(db: Knex): TarnPool<Client> {
	return db.client.pool;
}

/** Takes a connection out of the pool. */
export function hold(db: Knex): Promise<Client> {
	return db.client.acquireConnection();
}

/** The server's pid of the session that answers. */
export async function backendOf(db: Knex, connection?: Client): Promise<number> {
	const query = db.raw("select pg_backend_pid() as pid");
	const { rows } = await (connection === undefined ? query : query.connection(connection));
	return rows[0].pid;
}

/** How many sessions of this name are open, asked on a connection of its own; with a state (`active`), how many are in it. */
export async function sessions(name: string, state?: string): Promise<number> {
	const [row] = await ask(
		"select count(*)::int from pg_stat_activity where application_name = $1 and state = coalesce($2, state)",
		[name, state],
	);
	return row?.["count"] as number;
}

/** Ends all sessions of this name from the server's side. */
export async function terminate(name: string): Promise<void> {
	await ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", [name]);
}

/** One statement on a connection of its own, which is not ours. */
export async function ask(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
	const client = new pg.Client({ connectionString: serverUrl().href });
	await client.connect();
	try {
		return (await client.query(text, values)).rows;
	} finally {
		await client.end();
	}
}
