import pg from "pg";
import { ask } from "../faces/postgres-view.ts";
import { afterThisTest } from "./after-this-test.ts";
import { postgresUrl } from "./server-urls.ts";
import { untilTrue } from "./until-true.ts";

/** While it is held nobody writes to the table: their transactions stay under way for as long as the test needs them. */
export interface TableLock {
	/** Waits until so many sessions wait for it. */
	waiters(count: number): Promise<void>;
	release(): Promise<void>;
}

/** It is released when the test ends, at the latest. */
export async function lockTable(table: string): Promise<TableLock> {
	const client = new pg.Client({ connectionString: postgresUrl("TCP") });
	await client.connect();
	afterThisTest(() => client.end());
	await client.query("begin");
	await client.query(`lock table ${table} in share mode`);
	return {
		async waiters(count) {
			const haveCome = async (): Promise<boolean> => {
				const [row] = await ask<{ n: number }>(
					postgresUrl("TCP") ?? "",
					"select count(*)::int as n from pg_locks where relation = $1::regclass and not granted",
					[table],
				);
				return row?.n === count;
			};
			await untilTrue(haveCome, { what: `${count} sessions wait for ${table}`, deadlineMillis: 60_000 });
		},
		async release() {
			await client.query("commit");
		},
	};
}
