/** Loaded by the parent and by each worker: each has a pool of its own. */
import process from "node:process";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Kysely, sql } from "kysely";

const { DATABASE_URL } = process.env;

interface Database {
	example_orders: { id: string; worker: number };
}

export const db = new Kysely<Database>({
	dialect: new ForkSafePostgresDialect({ pool: { connectionString: DATABASE_URL, max: 2 } }),
});

export async function createTables(): Promise<void> {
	await sql`create table if not exists example_orders (id text primary key, worker int not null)`.execute(db);
}
