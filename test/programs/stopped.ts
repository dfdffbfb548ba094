/**
 * `stopped.ts pg|Knex|Kysely OURS|PLAIN`: someone waits for the only connection of a pool, 1000 ms at most, while its holder
 * works for 600 ms of the time that this process runs. Reports "waiting", then what became of the waiter. Whoever runs it stops
 * the process meanwhile.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import knex from "knex";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { report } from "../support/report.ts";

const [library, whose] = process.argv.slice(2);
const isOurs = whose === "OURS";
const acquireTimeoutMillis = 1_000;
const { DATABASE_URL: connectionString = "" } = process.env;
const options = { connectionString, max: 1, connectionTimeoutMillis: acquireTimeoutMillis };

interface Subject {
	/** Works with a connection for so many steps. */
	work(steps: number): Promise<unknown>;
	end(): Promise<unknown>;
}

function open(): Subject {
	if (library === "Knex") {
		const db = knex({
			client: isOurs ? ForkSafePostgres : "pg",
			connection: connectionString,
			pool: { min: 0, max: 1 },
			acquireConnectionTimeout: acquireTimeoutMillis,
		});
		return { work: (steps) => db.transaction(() => pause(steps)), end: () => db.destroy() };
	}
	if (library === "Kysely") {
		const dialect = isOurs ? new ForkSafePostgresDialect({ pool: options }) : new PostgresDialect({ pool: new pg.Pool(options) });
		const db = new Kysely<unknown>({ dialect });
		return {
			work: (steps) =>
				db.connection().execute(async (connection) => {
					await sql`select 1`.execute(connection);
					await pause(steps);
				}),
			end: () => db.destroy(),
		};
	}
	const pool = isOurs ? new Pool(options) : new pg.Pool(options);
	return {
		async work(steps) {
			const client = await pool.connect();
			await pause(steps);
			client.release();
		},
		end: () => pool.end(),
	};
}

/** Many short steps: a stopped process falls behind by one of them only. */
async function pause(steps: number): Promise<void> {
	for (let step = 0; step < steps; step++) await delay(50);
}

const subject = open();
await subject.work(0);
const holder = subject.work(12);
const waiter = subject.work(0).then(
	() => "served",
	(error: Error) => error.message,
);
report("waiting");
report(await waiter);
await holder;
await subject.end();
