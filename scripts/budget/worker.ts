/** `worker.ts POOL URL MAX`: does what it is ordered to by messages, and tells what has come of it. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { connectionPermits } from "@forksafe/cluster";
import { Pool } from "@forksafe/pg";
import pg from "pg";

/** So many users ask, until that many queries have been asked or the time is up. */
export interface Order {
	readonly users: number;
	readonly queries?: number;
	readonly millis?: number;
	/** Of a user, between two questions; twice as much at most. @default 0 */
	readonly thinkMillis?: number;
}

/** What has come of it. */
export interface Outcome {
	readonly answers: number;
	readonly errors: Readonly<Record<string, number>>;
	/** From the question to the answer. */
	readonly longestMillis: number;
}

/** Whether the pool asks for permits, is a plain one of pg, or has but its own `max`. */
export type PoolKind = "budget" | "plain pg" | "split";

const QUERY = "select pg_sleep(0.005)";
const [kind = "", url = "", max = "10"] = process.argv.slice(2);
const options = { connectionString: url, max: Number(max), connectionTimeoutMillis: 30_000, application_name: "budget" };
const pool =
	kind === "plain pg"
		? new pg.Pool(options)
		: new Pool({ ...options, ...(kind === "budget" && { permits: connectionPermits() }) });
pool.on("error", () => {});

process.on("message", (order: Order) => void obey(order).then((outcome) => process.send?.(outcome)));
process.send?.("ready");

async function obey({ users, queries = Number.POSITIVE_INFINITY, millis = 0, thinkMillis = 0 }: Order): Promise<Outcome> {
	const end = millis === 0 ? Number.POSITIVE_INFINITY : performance.now() + millis;
	const errors: Record<string, number> = {};
	let [asked, answers, longestMillis] = [0, 0, 0];
	const use = async (): Promise<void> => {
		while (asked++ < queries && performance.now() < end) {
			if (thinkMillis > 0) await delay(Math.random() * 2 * thinkMillis);
			const since = performance.now();
			try {
				await pool.query(QUERY);
				answers++;
			} catch (error) {
				const { message } = error as Error;
				errors[message] = (errors[message] ?? 0) + 1;
			}
			longestMillis = Math.max(longestMillis, performance.now() - since);
		}
	};
	await Promise.all(Array.from({ length: users }, use));
	return { answers, errors, longestMillis };
}
