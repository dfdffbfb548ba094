/**
 * 4 workers with pools of 10, and a role that may have 20 sessions: `budget.ts [--rounds N] [--queries N] [--short]`. Plain pools of pg, a
 * split by hand (5 each), and one budget, with the same load for all workers and with most of it for one of them. Exits with 1 when
 * a query fails with a budget, the server has ever seen more sessions than it allows, or the split is better.
 */
import { connectionBudget } from "@forksafe/cluster";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { SessionWatch } from "../../test/support/session-watch.ts";
import { quantile } from "../bench/statistics.ts";
import { commandLine, positiveNumber } from "../command-line.ts";
import { table } from "../demo/table.ts";
import { permitCosts } from "./permit-costs.ts";
import { limitedRole, Stage, sumOfErrors } from "./stage.ts";
import type { PoolKind } from "./worker.ts";

const ROLE = "budgeted";
const WORKERS = 4;
const MAX = 10;
const LIMIT = 20;
const USERS = 40;
const DEADLINE_MILLIS = 120_000;
/** With the same load for all. What is beyond it is for the noise of a busy machine. */
const AS_GOOD_AS_SPLIT = 0.95;

const values = commandLine({
	rounds: { type: "string" },
	queries: { type: "string" },
	short: { type: "boolean", default: false },
});
const rounds = positiveNumber("rounds", values.rounds ?? (values.short ? 1 : 5));
const queries = positiveNumber("queries", values.queries ?? (values.short ? 4_000 : 10_000));

/** What part of the load each worker has. */
const loads = { even: [0.25, 0.25, 0.25, 0.25], uneven: [0.7, 0.1, 0.1, 0.1] };
const kinds: readonly PoolKind[] = ["plain pg", "split", "budget"];
const server = await startEmbeddedServer({ maxConnections: 100, tls: false, unixSocket: false });
const complaints: string[] = [];
const rows: string[][] = [];
const budget = connectionBudget({ total: LIMIT });
try {
	const url = await limitedRole(server.url, ROLE, LIMIT);
	for (const [load, parts] of Object.entries(loads)) {
		const perSecond: Record<PoolKind, number[]> = { "plain pg": [], split: [], budget: [] };
		const answers: Record<string, number> = {};
		const errors: Record<string, number> = {};
		const most: Record<string, number> = {};
		const longest: Record<string, number> = {};
		for (let round = 0; round < rounds; round++) {
			for (const kind of kinds) {
				const stage = await Stage.open(kind, url, WORKERS, kind === "split" ? LIMIT / WORKERS : MAX);
				const watch = await SessionWatch.start(server.url, { column: "usename", name: ROLE });
				try {
					const orders = parts.map((part) => ({ users: USERS, queries: Math.round(queries * part) }));
					const since = performance.now();
					const outcomes = await stage.run(orders, DEADLINE_MILLIS);
					const seconds = (performance.now() - since) / 1_000;
					const answered = outcomes.reduce((sum, outcome) => sum + outcome.answers, 0);
					perSecond[kind].push(answered / seconds);
					answers[kind] = (answers[kind] ?? 0) + answered;
					errors[kind] = (errors[kind] ?? 0) + sumOfErrors(outcomes);
					most[kind] = Math.max(most[kind] ?? 0, watch.take());
					longest[kind] = Math.max(longest[kind] ?? 0, ...outcomes.map(({ longestMillis }) => longestMillis));
				} finally {
					await watch.stop();
					await stage.close();
				}
			}
		}
		const median = (kind: PoolKind): number => quantile(perSecond[kind], 0.5);
		const ratio = median("budget") / median("split");
		for (const kind of kinds) {
			const counts = [answers[kind], errors[kind], most[kind], longest[kind]].map((count) => (count ?? 0).toFixed(0));
			rows.push([load, kind, ...counts, median(kind).toFixed(0), (median(kind) / median("split")).toFixed(2)]);
		}
		if (errors["budget"] !== 0) complaints.push(`${load} load: ${errors["budget"]} queries failed with a budget`);
		if ((most["budget"] ?? 0) > LIMIT) complaints.push(`${load} load: ${most["budget"]} sessions with a budget of ${LIMIT}`);
		if (load === "uneven" && ratio <= 1) complaints.push(`uneven load: ${ratio.toFixed(2)} of what a split answers`);
		if (load === "even" && ratio < AS_GOOD_AS_SPLIT && !values.short) {
			complaints.push(`even load: ${ratio.toFixed(2)} of what a split answers`);
		}
	}
} finally {
	budget.close();
	await server.stop();
}
const titles = ["answers", "errors", "most sessions", "longest ms", "answers/s", "of the split"];
console.log(
	table([{ title: "load", align: "left" }, { title: "pools", align: "left" }, ...titles.map((title) => ({ title }))], rows),
);
const { hereNanos, overSocketMicros } = await permitCosts();
console.log(
	`a permit costs ${hereNanos.toFixed(0)} ns where it is, ${overSocketMicros.toFixed(0)} us from another process (medians)`,
);
for (const complaint of complaints) console.log(`NOT RIGHT: ${complaint}`);
process.exitCode = complaints.length === 0 ? 0 : 1;
