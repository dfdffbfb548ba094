import { type ProgramResult, runProgram } from "../../test/support/program.ts";
import type { Bank, Books } from "./bank.ts";
import type { Subject } from "./subjects.ts";
import type { Inherited, Tally } from "./traffic.ts";

/** How a run goes; the same for every pool. */
export const plan = {
	/** Connections that a pool may open, and that are open in the parent at the fork. */
	max: 4,
	workers: 4,
	/** What each process asks. */
	statements: 240,
	/** What the last worker asks: it shuts down in good order while the others go on. */
	statementsOfLast: 40,
	/** Of the parent's, those asked before and beside the workers; the others come when the workers have gone. */
	beside: 200,
	/** Answers that the parent has had when it forks. */
	beforeFork: 60,
	tellMillis: 250,
	/** From the start to the end of a run, and from the fork to the end of a worker; then they are killed. */
	deadlines: {
		/** Enough for a slow machine. */
		forksafe: { runMillis: 18_000, workerMillis: 13_000 },
		/** What has not come by then does not come at all. */
		plain: { runMillis: 10_000, workerMillis: 6_000 },
	},
};

/** How many statements a process has to ask. */
export function plannedFor(name: string): number {
	return name === workerNames.at(-1) ? plan.statementsOfLast : plan.statements;
}

/** How long a run over a pool may take. */
export function deadlinesFor({ isProtected }: Subject): { readonly runMillis: number; readonly workerMillis: number } {
	return plan.deadlines[isProtected ? "forksafe" : "plain"];
}

/** The forked workers of a run. */
export const workerNames: readonly string[] = Array.from({ length: plan.workers }, (_, index) => `worker ${index + 1}`);

/** One line from a process of a run. What comes later counts more. */
export interface RunReport {
	/** By the parent: the backends that served it before the fork. */
	readonly warmed?: readonly number[];
	readonly tally?: Tally;
	/** By a worker, at its end. */
	readonly inherited?: Inherited;
	/** By the parent, at its end: those of `warmed` that live on. */
	readonly survivors?: readonly number[];
	/** The process has come to its end, and not only to the next line. */
	readonly isDone?: boolean;
	/** What it died of. */
	readonly crash?: string;
}

/** Everything that is known of a process of a run. */
export interface ProcessAccount extends RunReport {
	readonly name: string;
	/** Undefined for a worker that has never spoken. */
	readonly pid: number | undefined;
	/** How a worker failed to end by itself: `ERR_CHILD_HUNG`, `ERR_CHILD_CRASHED`. */
	readonly failure: string | undefined;
}

/** A run that is over. */
export interface Run {
	readonly subject: Subject;
	/** The parent, then the workers. */
	readonly processes: readonly ProcessAccount[];
	readonly books: Books;
	readonly isKilled: boolean;
	readonly exitCode: number | undefined;
	/** What its processes have printed. */
	readonly output: string;
	readonly millis: number;
}

const program = new URL("program.ts", import.meta.url);

/**
 * Runs the application over a pool, in processes of their own, and looks at the books afterwards.
 *
 * @param url the server, as the bank was given it
 * @throws Error when the server cannot be asked; however the processes end is in the result
 */
export async function run(subject: Subject, url: string, bank: Bank): Promise<Run> {
	const start = performance.now();
	await bank.open();
	try {
		const result = await runProgram(program, {
			args: [subject.name, url, bank.schema],
			deadlineMillis: deadlinesFor(subject).runMillis,
		});
		await bank.settle();
		return {
			subject,
			processes: ["program", ...workerNames].map((name) => accountOf(name, result)),
			books: await bank.books(),
			isKilled: result.timedOut,
			exitCode: result.exitCode,
			output: result.output,
			millis: performance.now() - start,
		};
	} finally {
		await bank.remove();
	}
}

function accountOf(name: string, { reports }: ProgramResult): ProcessAccount {
	const own = reports.filter((report) => report.process === name);
	const said = own.flatMap((report) => (report.kind === "report" ? [report.value as RunReport] : []));
	const failure = own.map((report) => (report.kind === "error" ? report.error.code : undefined)).find(Boolean);
	return Object.assign({ name: name === "program" ? "parent" : name, pid: own[0]?.pid, failure }, ...said) as ProcessAccount;
}
