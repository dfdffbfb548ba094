/** What the demo says, in the order in which it says it. */
import { accountCount } from "./bank.ts";
import { plan } from "./run.ts";
import { type Column, table } from "./table.ts";
import { concurrency, stallMillis } from "./traffic.ts";
import type { ProcessRow, Row, Verdict } from "./verdict.ts";

/** What is about to be done. */
export function introduction(): string {
	return `\
One application (${accountCount} accounts, transfers between them, reads with a known answer), written once for pg, once in
Knex and once in Kysely. The parent opens ${plan.max} connections, keeps ${concurrency} statements going (so some are in flight and
some queued), and forks ${plan.workers} workers in the middle of it, with fork(2). Then all ${plan.workers + 1} processes go on over the pool
that they hold, ${plan.statements} statements each; only the last worker soon has enough, and ends its pool in good order.
Every second statement is a transfer (a transaction) with an id of its own, so that the server's books show what
was lost and what was executed twice.
A statement in flight or queued at the fork is the parent's. In the runs over forksafe each worker calls
afterFork() first, as the README recommends; everything else is the same code.`;
}

/** One run: its processes, and which backend answered which of them. */
export function runTable({ run, rows, total, money, shared, flaws }: Verdict): string {
	const columns: Column[] = [
		{ title: "process", align: "left" },
		{ title: "pid" },
		...numbers,
		{ title: "end", align: "left" },
		{ title: "answered by backends", align: "left" },
	];
	const lines = rows.map((row) => [
		row.process.name,
		String(row.process.pid ?? "-"),
		...cells(row, row.process.warmed !== undefined),
		row.end,
		backendsOf(row, shared),
	]);
	const text = table(columns, [...lines, ["all", "", ...cells(total, true), "", `money: ${money}`]]);
	return [text, ...notes({ run, rows, total, money, shared, flaws })].join("\n");
}

/** All runs, one line each. */
export function summary(verdicts: readonly Verdict[]): string {
	const columns: Column[] = [
		{ title: "run", align: "left" },
		...numbers,
		{ title: "money" },
		{ title: "seconds" },
		{ title: "", align: "left" },
	];
	const lines = verdicts.map(({ run, total, money, flaws }) => [
		run.subject.name,
		...cells(total, true),
		money,
		seconds(run.millis),
		flaws.length === 0 ? "perfect" : "BROKEN",
	]);
	return `${table(columns, lines)}\n${legend}`;
}

/** @returns "3.4" */
export function seconds(millis: number): string {
	return (millis / 1000).toFixed(1);
}

const numbers: readonly Column[] = ["right", "crossed", "lost/hung", "killed", "twice"].map((title) => ({ title }));

const legend = `
right      statements that got their own answer     killed  sessions of the parent that were gone at its end
crossed    answers that were another statement's    twice   transfers that were executed more than once
lost/hung  statements never answered, or failed     money   the sum of all accounts, and each one's transfers
A process that gets no answer for ${seconds(stallMillis)} s, or is not done at its deadline, has hung.`;

function cells({ right, planned, crossed, lost, killed, twice }: Row, isParent: boolean): string[] {
	return [`${right} of ${planned}`, String(crossed), String(lost), isParent ? String(killed) : "", String(twice)];
}

const shownBackends = 5;

function backendsOf({ process: { tally } }: ProcessRow, shared: ReadonlySet<number>): string {
	const backends = [...(tally?.backends ?? [])].sort((a, b) => a - b);
	if (backends.length === 0) return "none";
	const shown = backends.slice(0, shownBackends).map((backend) => `${backend}${shared.has(backend) ? "*" : ""}`);
	const rest = backends.length - shown.length;
	return shown.join(" ") + (rest > 0 ? ` +${rest}` : "");
}

function notes({ run, rows, shared, flaws }: Verdict): string[] {
	const inherited = rows.flatMap(({ process }) => (process.inherited === undefined ? [] : [process.inherited]));
	const pending = inherited.reduce((sum, each) => sum + each.pending, 0);
	const refused = inherited.reduce((sum, each) => sum + each.refused, 0);
	const lines = [
		shared.size > 0 && `* this backend answered more than one process`,
		run.subject.isProtected &&
			`${refused} of ${pending} statements that the workers inherited were refused there, and ran in the parent`,
		...rows.map(
			({ process: { name, crash } }) => crash !== undefined && `${name} crashed: ${crash.split("\n")[0]?.slice(0, 90)}`,
		),
	].filter((line) => line !== false);
	// Of a pool that is not ours the table says enough.
	return run.subject.isProtected ? [...lines, ...flaws.map((flaw) => `NOT PERFECT: ${flaw}`)] : lines;
}
