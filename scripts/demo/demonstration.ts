import { randomBytes } from "node:crypto";
import { Bank } from "./bank.ts";
import { otherPlatforms } from "./platforms.ts";
import { run } from "./run.ts";
import { type Server, startServer } from "./server.ts";
import { introduction, runTable, seconds, summary } from "./story.ts";
import { subjects } from "./subjects.ts";
import { judge, type Verdict } from "./verdict.ts";

const startedAt = performance.now();
/** The bank of the run that is going on. */
let bank: Bank | undefined;
let isStopping = false;

/**
 * Runs the application over every pool, shows how it went, and stops at a signal.
 *
 * @returns the exit code: 0 only if every run over forksafe was perfect
 */
export async function demonstrate(): Promise<number> {
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void interrupt(signal));
	console.log(`${introduction()}\n`);
	const server = await progress("starting the server", startServer, ({ description }) => description);
	const verdicts: Verdict[] = [];
	try {
		for (const subject of subjects) verdicts.push(await show(subject, server));
	} finally {
		bank = undefined;
		await server.stop();
	}
	console.log(`${summary(verdicts)}\n\n${otherPlatforms}\n`);
	return conclude(verdicts);
}

async function show(subject: (typeof subjects)[number], { url }: Server): Promise<Verdict> {
	if (isStopping) await new Promise(() => {});
	const own = new Bank(url, `forksafe_demo_${randomBytes(6).toString("hex")}`);
	bank = own;
	const what = `run ${subjects.indexOf(subject) + 1} of ${subjects.length}: ${subject.name}`;
	const verdict = await progress(
		what,
		async () => judge(await run(subject, url, own)),
		({ flaws, run }) => (flaws.length === 0 ? "perfect" : run.isKilled ? "broken, killed at its deadline" : "broken"),
	);
	console.log(`\n${runTable(verdict)}\n`);
	// A program that said nothing has not even started: that must not pass for the harm of a fork.
	if (verdict.run.processes[0]?.warmed === undefined) console.log(`${subject.name} did not start:\n${verdict.run.output}`);
	return verdict;
}

function conclude(verdicts: readonly Verdict[]): number {
	const ours = verdicts.filter(({ run }) => run.subject.isProtected);
	const perfect = ours.filter(({ flaws }) => flaws.length === 0);
	const lucky = verdicts.filter(({ run, flaws }) => !run.subject.isProtected && flaws.length === 0);
	for (const { run } of lucky) console.log(`${run.subject.name} came through unharmed this time; run the demo again.`);
	const isProven = ours.length > 0 && perfect.length === ours.length;
	const what = `${perfect.length} of ${ours.length} runs over forksafe were perfect`;
	console.log(`${isProven ? "PASSED" : "FAILED"}: ${what} (${seconds(performance.now() - startedAt)} s in all)`);
	return isProven ? 0 : 1;
}

/** A line when it starts, and one when it ends. */
async function progress<T>(what: string, work: () => Promise<T>, outcome: (result: T) => string): Promise<T> {
	const start = performance.now();
	console.log(`[${seconds(start - startedAt).padStart(4)} s] ${what} ...`);
	const result = await work();
	const now = performance.now();
	console.log(`[${seconds(now - startedAt).padStart(4)} s] ${what}: ${outcome(result)}, after ${seconds(now - start)} s`);
	return result;
}

/** The run is killed as this process exits, and the server goes with it; a server that was given keeps no trace either. */
async function interrupt(signal: NodeJS.Signals): Promise<void> {
	const current = isStopping ? undefined : bank;
	isStopping = true;
	if (current !== undefined) {
		console.log(`\n${signal}: stopping`);
		const late = new Promise((resolve) => void setTimeout(resolve, 3_000));
		await Promise.race([current.remove().catch(() => {}), late]);
	}
	process.exit(130);
}
