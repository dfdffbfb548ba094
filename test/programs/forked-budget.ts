/**
 * `forked-budget.ts NAME TOTAL`: a process serves a budget, works, and forks children that work, too, one of them after another has
 * closed what it inherited. Reports what each has done.
 */
import process from "node:process";
import { connectionBudget, connectionPermits } from "@forksafe/cluster";
import { afterFork } from "@forksafe/core";
import { Pool } from "@forksafe/pg";
import { forkChild } from "../support/fork.ts";
import { report } from "../support/report.ts";

const [name = "", total = "0"] = process.argv.slice(2);
const budget = connectionBudget({ total: Number(total) });
const pool = new Pool({
	connectionString: process.env["DATABASE_URL"],
	application_name: name,
	max: Number(total),
	permits: connectionPermits(),
});

async function work(): Promise<number> {
	const queries = Array.from({ length: 300 }, () => pool.query<{ n: number }>("select 1 as n, pg_sleep(0.002)"));
	return (await Promise.all(queries)).reduce((sum, { rows }) => sum + (rows[0]?.n ?? 0), 0);
}

await pool.query("select 1");
const child = (childName: string): ReturnType<typeof forkChild<number>> =>
	forkChild(
		childName,
		() => {
			afterFork();
			return work();
		},
		{ deadlineMillis: 20_000 },
	);
const first = await child("first");
const parent = await work();
const firstDid = await first.result;
const second = await child("second");
const again = await work();
report({ parent: parent + again, first: firstDid, second: await second.result, processes: budget.stats().processes });
await pool.end();
budget.close();
