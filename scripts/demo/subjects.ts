/** The six pools that the demo runs over. What differs between a plain run and one over forksafe stands here, and only here. */
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import knex from "knex";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Application } from "./application.ts";
import { knexApplication } from "./knex-application.ts";
import { kyselyApplication } from "./kysely-application.ts";
import { pgApplication } from "./pg-application.ts";

/** A pool, with the application on top of it. */
export interface Subject {
	readonly name: string;
	/** Whether the pool is one of forksafe's. */
	readonly isProtected: boolean;
	open(options: OpenOptions): Application;
}

export interface OpenOptions {
	readonly url: string;
	/** Where the application's tables are. */
	readonly schema: string;
	/** How many connections the pool may open. */
	readonly max: number;
}

export const subjects: readonly Subject[] = [
	{
		name: "plain pg Pool",
		isProtected: false,
		open: ({ url, schema, max }) => pgApplication(listening(new pg.Pool({ connectionString: url, max })), schema),
	},
	{
		name: "plain Knex",
		isProtected: false,
		open: ({ url, schema, max }) =>
			knexApplication(knex({ client: "pg", connection: url, pool: { min: 0, max }, log: silent }), schema),
	},
	{
		name: "plain Kysely",
		isProtected: false,
		open({ url, schema, max }) {
			const dialect = new PostgresDialect({ pool: listening(new pg.Pool({ connectionString: url, max })) });
			return kyselyApplication(new Kysely({ dialect }), schema);
		},
	},
	{
		name: "forksafe pg Pool",
		isProtected: true,
		open: ({ url, schema, max }) => pgApplication(listening(new Pool({ connectionString: url, max })), schema),
	},
	{
		name: "forksafe Knex",
		isProtected: true,
		open: ({ url, schema, max }) =>
			knexApplication(knex({ client: ForkSafePostgres, connection: url, pool: { min: 0, max }, log: silent }), schema),
	},
	{
		name: "forksafe Kysely",
		isProtected: true,
		open({ url, schema, max }) {
			const dialect = new ForkSafePostgresDialect({ pool: listening(new Pool({ connectionString: url, max })) });
			return kyselyApplication(new Kysely({ dialect }), schema);
		},
	},
];

/** Without a listener, an idle client that loses its connection takes the process with it: pg's documentation asks for one. */
function listening<P extends pg.Pool>(pool: P): P {
	return pool.on("error", () => {});
}

const silent = { warn() {}, error() {} };
