/** Some of the pools: `worker.ts SUBJECT URL POOLS MAX MILLIS`. Sends what each of them has seen. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "@forksafe/pg";
import pg from "pg";

/** What the users of one pool have seen. */
export interface PoolResult {
	/** From the question to the answer, milliseconds. */
	readonly latencies: readonly number[];
	readonly errors: Readonly<Record<string, number>>;
}

const [subject, url, pools, max, millis] = process.argv.slice(2);
/** Of a user, between two questions: all of them together ask for about as much as the server connections can answer. */
const THINK_MILLIS = 400;
/** What a query keeps its server connection busy for. */
const QUERY = "select pg_sleep(0.005)";
const end = performance.now() + Number(millis);

const results = await Promise.all(Array.from({ length: Number(pools) }, usePool));
process.send?.(results, () => process.exit());

/** As many users as connections, and one more, who waits for one in the pool. */
async function usePool(): Promise<PoolResult> {
	const options = { connectionString: url as string, max: Number(max), connectionTimeoutMillis: 20_000 };
	const pool = subject === "pg" ? new pg.Pool(options) : new Pool({ ...options, preset: "transaction-pooler" });
	pool.on("error", () => {});
	const latencies: number[] = [];
	const errors: Record<string, number> = {};
	const user = async (): Promise<void> => {
		for (;;) {
			await delay(Math.random() * 2 * THINK_MILLIS);
			const since = performance.now();
			if (since >= end) return;
			try {
				await pool.query(QUERY);
				latencies.push(performance.now() - since);
			} catch (error) {
				const { message } = error as Error;
				errors[message] = (errors[message] ?? 0) + 1;
			}
		}
	};
	await Promise.all(Array.from({ length: Number(max) + 1 }, user));
	await pool.end();
	return { latencies, errors };
}
