import type { Scenario, Way } from "./scenario.ts";
import type { Performance } from "./stage.ts";
import type { Subject } from "./subjects.ts";

/** One scenario, in one of its ways, over one pool. */
export interface Cell {
	readonly scenario: Scenario;
	readonly way: Way;
	readonly subject: Subject;
}

/** A cell that was played. */
export interface Verdict extends Cell {
	readonly performance: Performance;
	/** What is not as it must be, in sentences; empty where all is met. A plain pool is judged by the same. */
	readonly flaws: readonly string[];
}

/** Judges by what forksafe must do, and by how the pool was left. */
export function judge(cell: Cell, performance: Performance): Verdict {
	const { account, crash, isKilled } = performance;
	const flaws = [
		crash !== undefined && `the process died: ${crash}`,
		isKilled && "the process was killed at its deadline",
		account.broken !== undefined && `the scenario could not be played: ${account.broken}`,
		...cell.scenario.must(account, cell.subject),
		...account.aftermath,
	];
	const failures = [...account.failures].sort((a, b) => b.times - a.times).slice(0, 2);
	const said = failures.map(({ times, text }) => `${times} x "${text.slice(0, 100)}"`).join(", ");
	const found = flaws.filter((flaw) => flaw !== false);
	return { ...cell, performance, flaws: found.length > 0 && said !== "" ? [...found, said] : found };
}

/** Failed / hung / died / time to the first error, and what else the scenario measures. What a dead program left open counts as hung. */
export function cellText({ performance, subject, flaws }: Verdict): string {
	const { account, crash, isKilled } = performance;
	const first = account.firstErrorMillis;
	const parts = [
		String(account.failed),
		String(account.hung),
		crash !== undefined ? "died" : isKilled ? "killed" : "-",
		first === undefined ? "-" : first < 10_000 ? `${Math.round(first)} ms` : `${(first / 1000).toFixed(1)} s`,
	];
	if (account.blockedMillis !== undefined) parts.push(`blocked ${Math.round(account.blockedMillis)} ms`);
	if (account.idealMillis !== undefined) parts.push(`took ${(account.lastMillis / account.idealMillis).toFixed(1)} x ideal`);
	return `${parts.join(" / ")}${subject.isProtected ? (flaws.length === 0 ? "  met" : "  NOT") : ""}`;
}
