import type { Books } from "./bank.ts";
import { type ProcessAccount, plan, plannedFor, type Run } from "./run.ts";

/** What the table says of one process, or of all of them together. */
export interface Row {
	/** Statements with their own answer; of transfers, only those that the server knows as well. */
	readonly right: number;
	readonly planned: number;
	/** Statements with another statement's answer. */
	readonly crossed: number;
	/** All others: never answered, failed, or acknowledged and not there. */
	readonly lost: number;
	/** Warmed sessions of the parent that had gone when the parent came to its end. */
	readonly killed: number;
	/** Transfers of this process that were executed more than once, by whichever process. */
	readonly twice: number;
}

/** A row with what only one process has. */
export interface ProcessRow extends Row {
	readonly process: ProcessAccount;
	readonly end: End;
}

/** `stopped`: it went down with the parent, and cannot be blamed. */
export type End = "done" | "hung" | "crashed" | "stopped";

/** What is to be said of a run. */
export interface Verdict {
	readonly run: Run;
	readonly rows: readonly ProcessRow[];
	readonly total: Row;
	readonly money: string;
	/** Backends that answered more than one process. */
	readonly shared: ReadonlySet<number>;
	/** Everything that is not as it should be, in words; empty for a perfect run. */
	readonly flaws: readonly string[];
}

/** Judges a run by what its processes have seen and by what the server's books say. */
export function judge(run: Run): Verdict {
	const rows = run.processes.map((process) => rowOf(process, run));
	const sum = (pick: (row: Row) => number): number => rows.reduce((total, row) => total + pick(row), 0);
	const total: Row = {
		right: sum(({ right }) => right),
		planned: sum(({ planned }) => planned),
		crossed: sum(({ crossed }) => crossed),
		lost: sum(({ lost }) => lost),
		killed: sum(({ killed }) => killed),
		twice: sum(({ twice }) => twice),
	};
	const shared = sharedBackends(run.processes);
	return { run, rows, total, money: money(run.books), shared, flaws: flawsOf(run, rows, total, shared) };
}

function rowOf(process: ProcessAccount, { books, isKilled }: Run): ProcessRow {
	const end = endOf(process, isKilled);
	const { tally, warmed = [] } = process;
	// A parent that crashed has none left. One that was killed at its deadline could not say.
	const { survivors = end === "crashed" ? [] : warmed } = process;
	const missing = tally?.acknowledged.filter((id) => !books.executions.has(id)).length ?? 0;
	const right = (tally?.right ?? 0) - missing;
	const crossed = tally?.crossed ?? 0;
	const planned = plannedFor(process.name);
	const own = [...books.executions].filter(([id]) => id.startsWith(`${process.name}/`));
	return {
		process,
		end,
		right,
		planned,
		crossed,
		lost: planned - right - crossed,
		killed: warmed.length - survivors.length,
		twice: own.filter(([, times]) => times > 1).length,
	};
}

function endOf({ crash, failure, isDone, tally }: ProcessAccount, isKilled: boolean): End {
	if (crash !== undefined || failure === "ERR_CHILD_CRASHED") return "crashed";
	if (tally?.isHung || failure === "ERR_CHILD_HUNG") return "hung";
	if (isDone) return "done";
	return isKilled ? "hung" : "stopped";
}

function sharedBackends(processes: readonly ProcessAccount[]): Set<number> {
	const all = processes.flatMap(({ tally }) => tally?.backends ?? []);
	return new Set(all.filter((backend, index) => all.indexOf(backend) !== index));
}

function money({ total, totalAtStart, accountsOff }: Books): string {
	const difference = total - totalAtStart;
	if (difference !== 0) return `${difference > 0 ? "+" : ""}${difference}`;
	return accountsOff === 0 ? "conserved" : `${accountsOff} accounts off`;
}

function flawsOf(run: Run, rows: readonly ProcessRow[], total: Row, shared: ReadonlySet<number>): string[] {
	const { books, processes, isKilled, exitCode } = run;
	const { crossed, lost, killed, twice, right, planned } = total;
	const warmed = processes.find(({ warmed }) => warmed !== undefined)?.warmed?.length ?? 0;
	const faults: (string | false)[] = [
		right !== planned && `${right} of ${planned} statements right`,
		crossed > 0 && `${crossed} answers crossed`,
		lost > 0 && `${lost} statements lost or hung`,
		warmed !== plan.max && `${warmed} of ${plan.max} connections warmed`,
		killed > 0 && `${killed} sessions killed in the parent`,
		twice > 0 && `${twice} transfers executed twice`,
		books.total !== books.totalAtStart && `${Math.abs(books.total - books.totalAtStart)} of money gone or made up`,
		books.accountsOff > 0 && `${books.accountsOff} accounts do not agree with the transfers`,
		shared.size > 0 && `${shared.size} backends answered two processes`,
		isKilled && "killed at its deadline",
		!isKilled && exitCode !== 0 && `exited with code ${exitCode}`,
		...rows.map(({ process, end }) => end !== "done" && `${process.name} ${end}${cause(process)}`),
		...processes.map(({ name, inherited }) => {
			if (inherited === undefined) return false;
			const settled = inherited.refused + inherited.ran;
			if (inherited.ran > 0) return `${inherited.ran} inherited statements went on in ${name}`;
			return settled !== inherited.pending && `${inherited.pending - settled} inherited statements hung in ${name}`;
		}),
	];
	return faults.filter((fault) => fault !== false);
}

function cause({ crash, tally }: ProcessAccount): string {
	const [error] = Object.entries(tally?.errors ?? {}).sort(([, a], [, b]) => b - a);
	const text = crash ?? error?.[0];
	return text === undefined ? "" : ` (${text.split("\n")[0]?.slice(0, 80)})`;
}
