/** Loaded by the main thread and by each other one: a thread shares no objects, so each has a pool of its own. */
import process from "node:process";
import { Pool } from "@forksafe/pg";

const { DATABASE_URL } = process.env;

export const pool = new Pool({ connectionString: DATABASE_URL, max: 2 });

export async function createTables(): Promise<void> {
	await pool.query("create table if not exists example_orders (id text primary key, worker int not null)");
}
