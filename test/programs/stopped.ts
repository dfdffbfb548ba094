/**
 * `stopped.ts OURS|PLAIN`: someone waits for the only connection of a pool of pg, 1000 ms at most, while its holder works for
 * 600 ms of the time that this process runs. Reports "waiting", then what became of the waiter. Whoever runs it stops the process meanwhile.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "@forksafe/pg";
import pg from "pg";
import { report } from "../support/report.ts";

const [whose] = process.argv.slice(2);
const options = { connectionString: process.env["DATABASE_URL"], max: 1, connectionTimeoutMillis: 1_000 };
const pool = whose === "OURS" ? new Pool(options) : new pg.Pool(options);

const holder = await pool.connect();
const waiter = pool.connect().then(
	(client) => {
		client.release();
		return "served";
	},
	(error: Error) => error.message,
);
report("waiting");
// Many short steps: a stopped process falls behind by one of them only.
for (let step = 0; step < 12; step++) await delay(50);
holder.release();
report(await waiter);
await pool.end();
