/**
 * `stopped.ts pg|Knex|Kysely OURS|PLAIN waiting|waiting-in-vain|idle`: what becomes of those who use a pool while its process is
 * stopped. Reports that they are ready, and stops; whoever runs it lets it go on. Then reports what became of them.
 *
 * - `waiting`: someone waits for the only connection, 1000 ms at most, while its holder works for 600 ms of the time that this
 *   process runs; `waiting-in-vain`: for 2 s of it.
 * - `idle`: connections are idle; as soon as it goes on, many ask at once, before anything is read from a socket: reports why some of them failed.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import knex from "knex";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { report } from "../support/report.ts";

const [library, whose, use] = process.argv.slice(2);
const isOurs = whose === "OURS";
const STEP_MILLIS = 50;
const IDLE = 3;
const ASKED = 12;
const acquireTimeoutMillis = use === "idle" ? 10_000 : 1_000;
const max = use === "idle" ? IDLE : 1;
const { DATABASE_URL: connectionString = "" } = process.env;
const options = { connectionString, max, connectionTimeoutMillis: acquireTimeoutMillis, application_name: "stopped" };

interface Subject {
	/** Works with a connection for so many steps. */
	work(steps: number): Promise<unknown>;
	ask(): Promise<unknown>;
	end(): Promise<unknown>;
}

function open(): Subject {
	if (library === "Knex") {
		const db = knex({
			client: isOurs ? ForkSafePostgres : "pg",
			connection: { connectionString, application_name: "stopped" },
			pool: { min: 0, max },
			acquireConnectionTimeout: acquireTimeoutMillis,
			log: { warn() {} },
		});
		return {
			work: (steps) => db.transaction(() => pause(steps)),
			ask: async () => db.raw("select 1"),
			end: () => db.destroy(),
		};
	}
	if (library === "Kysely") {
		const dialect = isOurs ? new ForkSafePostgresDialect({ pool: options }) : new PostgresDialect({ pool: plainPool() });
		const db = new Kysely<unknown>({ dialect });
		return {
			work: (steps) =>
				db.connection().execute(async (connection) => {
					await sql`select 1`.execute(connection);
					await pause(steps);
				}),
			ask: () => sql`select 1`.execute(db),
			end: () => db.destroy(),
		};
	}
	const pool = isOurs ? new Pool(options) : plainPool();
	return {
		async work(steps) {
			const client = await pool.connect();
			await pause(steps);
			client.release();
		},
		ask: () => pool.query("select 1"),
		end: () => pool.end(),
	};
}

/** An idle session that was ended is no reason to crash. */
function plainPool(): pg.Pool {
	return new pg.Pool(options).on("error", () => {});
}

/** Many short steps: a stopped process falls behind by one of them only. */
async function pause(steps: number): Promise<void> {
	for (let step = 0; step < steps; step++) await delay(STEP_MILLIS);
}

/** Stops, and goes on in the very same turn of the event loop: nothing has been read from a socket meanwhile. */
async function stop(): Promise<void> {
	await delay(STEP_MILLIS); // whoever waits has begun to
	report("ready");
	process.kill(process.pid, "SIGSTOP");
}

const subject = open();
if (use === "idle") {
	await Promise.all(Array.from({ length: IDLE }, () => subject.work(1)));
	await stop();
	const asked = await Promise.allSettled(Array.from({ length: ASKED }, () => subject.ask()));
	report(asked.flatMap((one) => (one.status === "rejected" ? [(one.reason as Error).message] : [])));
} else {
	await subject.work(0);
	const holder = subject.work(use === "waiting" ? 12 : 40);
	let hasEnded = false;
	void holder.then(() => {
		hasEnded = true;
	});
	const waiter = subject.work(0).then(
		() => "served",
		(error: Error) => error.message,
	);
	await stop();
	const became = await waiter;
	report(hasEnded || use === "waiting" ? became : `${became}, in time`);
	await holder;
}
await subject.end();
