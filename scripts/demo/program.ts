/**
 * One run, in a process of its own, because it forks itself and because it may hang or crash:
 * `program.ts SUBJECT URL SCHEMA`. Everything that becomes of it goes out as reports.
 */
import { afterFork } from "@forksafe/core";
import { type Child, forkChild } from "../../test/support/fork.ts";
import { report } from "../../test/support/report.ts";
import { untilTrue } from "../../test/support/until-true.ts";
import type { Application } from "./application.ts";
import { Bank } from "./bank.ts";
import { deadlinesFor, plan, plannedFor, type RunReport, workerNames } from "./run.ts";
import { subjects } from "./subjects.ts";
import { statementsFor, Traffic } from "./traffic.ts";

const [subjectName, url, schema] = process.argv.slice(2);
const subject = subjects.find(({ name }) => name === subjectName);
if (subject === undefined || url === undefined || schema === undefined) throw new Error("program.ts SUBJECT URL SCHEMA");

const bank = new Bank(url, schema);
const application = subject.open({ url: bank.url, schema, max: plan.max });
const warmed = await warm(application);
tell({ warmed });

const traffic = new Traffic(application);
let own = traffic;
// A stolen answer can be one that pg throws over. What was right until then is told all the same.
process.on("uncaughtExceptionMonitor", (error) => tell({ tally: own.tally(), crash: error.message }));
// For a run that is killed at its deadline; in a worker, this is the worker's own.
let ticker = startTicking();

const beforeAndBeside = traffic.ask(statementsFor("parent", { from: 0, count: plan.beside }));
await untilTrue(() => traffic.answered >= plan.beforeFork, { what: "the parent's traffic flows" });
const workers: Child<void>[] = [];
const deadlineMillis = deadlinesFor(subject).workerMillis;
for (const name of workerNames) workers.push(await forkChild(name, () => work(name), { deadlineMillis }));

await beforeAndBeside;
await Promise.all(workers.map(({ exited }) => exited));
await traffic.ask(statementsFor("parent", { from: plan.beside, count: plan.statements - plan.beside }));

const alive = await bank.backends();
tell({ tally: traffic.tally(), survivors: warmed.filter((backend) => alive.has(backend)), isDone: true });
await endOf(application);
process.exit();

/** Opens every connection that the pool may have, before anything is forked. */
async function warm(application: Application): Promise<number[]> {
	const backends = new Set<number>();
	const together = async (): Promise<boolean> => {
		const asked = Array.from({ length: plan.max }, (_, index) => application.read(`warm ${index}`, 50));
		for (const answer of await Promise.all(asked)) if (answer !== undefined) backends.add(answer.backend);
		return backends.size === plan.max;
	};
	await untilTrue(together, { what: `${plan.max} connections are open` });
	return [...backends];
}

/** What a forked worker does. It starts in the middle of what the parent was doing. */
async function work(name: string): Promise<void> {
	// As the README recommends: at once, so that this process reads nothing from the sockets that it has inherited.
	if (subject?.isProtected) afterFork();
	clearInterval(ticker);
	traffic.disown();
	own = new Traffic(application);
	ticker = startTicking();

	await own.ask(statementsFor(name, { from: 0, count: plannedFor(name) }));
	const { pending } = traffic.inherited;
	const settled = (): boolean => traffic.inherited.refused + traffic.inherited.ran >= pending;
	await untilTrue(settled, { what: "inherited statements settle", deadlineMillis: 500 }).catch(() => {});

	clearInterval(ticker);
	tell({ tally: own.tally(), inherited: traffic.inherited, isDone: true });
	await endOf(application);
}

/** As every application should end; a pool that has lost its answers would wait for ever. */
async function endOf({ end }: Application): Promise<void> {
	const ended = end().then(
		() => true,
		() => true,
	);
	await untilTrue(() => ended, { what: "the pool has ended", deadlineMillis: 1_000 }).catch(() => {});
}

function startTicking(): NodeJS.Timeout {
	return setInterval(() => tell({ tally: own.tally() }), plan.tellMillis);
}

function tell(said: RunReport): void {
	report(said);
}
