/**
 * 6 workers share 10 connections for long: `budget-soak.ts [--seconds N]`. Three of them ask without a pause, three now and then.
 * Exits with 1 when a query fails or waits for long, one of the greedy gets much less than another, or the server has ever seen more
 * sessions than there are permits.
 */
import { connectionBudget } from "@forksafe/cluster";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { SessionWatch } from "../../test/support/session-watch.ts";
import { jain } from "../bench/statistics.ts";
import { commandLine, positiveNumber } from "../command-line.ts";
import { table } from "../demo/table.ts";
import { limitedRole, Stage, sumOfErrors } from "./stage.ts";
import type { Order } from "./worker.ts";

const ROLE = "soaked";
const TOTAL = 10;
const MAX = 10;
const GRACE_MILLIS = 60_000;
/** Jain's index of those who ask for the same. */
const FAIR = 0.95;
/** A share is had within a second; the rest is for a busy machine. */
const LONG_MILLIS = 5_000;

const values = commandLine({ seconds: { type: "string", default: "300" } });
const millis = positiveNumber("seconds", values.seconds) * 1_000;

const greedy: Order = { users: 15, millis };
const orders: Order[] = [
	greedy,
	greedy,
	greedy,
	{ users: 1, millis, thinkMillis: 100 },
	{ users: 3, millis, thinkMillis: 50 },
	{ users: 8, millis, thinkMillis: 2_000 },
];
const server = await startEmbeddedServer({ maxConnections: 50, tls: false, unixSocket: false });
const budget = connectionBudget({ total: TOTAL });
const complaints: string[] = [];
try {
	const url = await limitedRole(server.url, ROLE, TOTAL);
	const stage = await Stage.open("budget", url, orders.length, MAX);
	const watch = await SessionWatch.start(server.url, { column: "usename", name: ROLE });
	try {
		const outcomes = await stage.run(orders, millis + GRACE_MILLIS);
		const rows = outcomes.map(({ answers, longestMillis }, index) => {
			const { users, thinkMillis = 0 } = orders[index] as Order;
			return [`${users} users, think ${thinkMillis} ms`, String(answers), longestMillis.toFixed(0)];
		});
		console.log(table([{ title: "worker", align: "left" }, { title: "answers" }, { title: "longest ms" }], rows));
		const fairness = jain(outcomes.slice(0, 3).map(({ answers }) => answers));
		const longest = Math.max(...outcomes.map(({ longestMillis }) => longestMillis));
		const errors = sumOfErrors(outcomes);
		const most = watch.take();
		console.log(`Jain's index of the greedy: ${fairness.toFixed(4)}; errors: ${errors}; most sessions: ${most} of ${TOTAL}`);
		if (errors > 0) complaints.push(`${errors} queries failed: ${JSON.stringify(outcomes.map((outcome) => outcome.errors))}`);
		if (!(fairness >= FAIR)) complaints.push(`Jain's index is below ${FAIR}`);
		if (longest > LONG_MILLIS) complaints.push(`somebody has waited for ${longest.toFixed(0)} ms`);
		if (most > TOTAL) complaints.push(`${most} sessions, and ${TOTAL} permits`);
	} finally {
		await watch.stop();
		await stage.close();
	}
} finally {
	budget.close();
	await server.stop();
}
for (const complaint of complaints) console.log(`NOT RIGHT: ${complaint}`);
process.exitCode = complaints.length === 0 ? 0 : 1;
