/** Loaded by the primary and by each worker: each has a pool of its own. */
import process from "node:process";
import { ForkSafePostgres } from "@forksafe/knex";
import knex from "knex";

const { DATABASE_URL = "" } = process.env;

/** 15 workers and the primary, 3 connections each: 48. PostgreSQL allows 100, unless it was told otherwise. */
export const db = knex({
	client: ForkSafePostgres,
	connection: DATABASE_URL,
	pool: { min: 0, max: 3 },
});

export async function createTables(): Promise<void> {
	await db.raw("create table if not exists example_orders (id text primary key, worker int not null)");
}
