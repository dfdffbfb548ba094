/**
 * `budgeted-worker.ts NAME MAX SECONDS`: a worker with a pool that takes part in a budget. Told to by messages: `{ users }` sets how many use
 * it without a pause, by queries that take so many seconds, `{ hold }` takes so many connections and keeps them, `"release"` gives them back. Tells what it was told to do
 * when it is done, and every 50 ms how many queries were answered, and how many failed.
 */
import process from "node:process";
import { connectionPermits } from "@forksafe/cluster";
import { Pool } from "@forksafe/pg";
import type { PoolClient } from "pg";

type Order = { readonly users: number } | { readonly hold: number } | "release";

const [name = "", max = "10", seconds = "0"] = process.argv.slice(2);
const permits = connectionPermits();
const options = { connectionString: process.env["DATABASE_URL"], application_name: name, connectionTimeoutMillis: 20_000 };
const pool = new Pool({ ...options, max: Number(max), permits });
pool.on("error", () => {});
const held: PoolClient[] = [];
const errors: string[] = [];
let answers = 0;
/** So many use the pool; of each, whether it goes on. */
let users: { isWanted: boolean }[] = [];

async function use(user: { readonly isWanted: boolean }): Promise<void> {
	while (user.isWanted) {
		try {
			await pool.query("select pg_sleep($1)", [seconds]);
			answers++;
		} catch (error) {
			errors.push((error as Error).message);
		}
	}
}

async function obey(order: Order): Promise<void> {
	if (order === "release") {
		for (const client of held.splice(0)) client.release();
	} else if ("hold" in order) {
		held.push(...(await Promise.all(Array.from({ length: order.hold }, () => pool.connect()))));
	} else {
		for (const user of users) user.isWanted = false;
		users = Array.from({ length: order.users }, () => ({ isWanted: true }));
		for (const user of users) void use(user);
	}
	process.send?.({ done: order });
}

process.on("message", (order: Order) => {
	obey(order).catch((error: Error) => errors.push(error.message));
});
setInterval(() => void (process.connected && process.send?.({ answers, errors })), 50);
