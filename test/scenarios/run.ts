import type { Face } from "../faces/face.ts";
import { type ProgramResult, runProgram } from "../support/program.ts";

const program = new URL("program.ts", import.meta.url);

/** What the program says of one scenario. */
export interface Verdict {
	readonly scenario: string;
	readonly hook: boolean;
	readonly millis: number;
	/** Why it failed. */
	readonly error?: string;
}

/** Which scenarios to run, and for how long at most. */
export interface RunOptions {
	readonly deadlineMillis: number;
	/** One scenario only. */
	readonly only?: { readonly scenario: string; readonly hook: boolean };
	readonly onVerdict?: (verdict: Verdict) => void;
}

/** Runs the scenarios of a face in a process of their own, which may be forked. */
export async function runScenarios(
	face: Face,
	url: string,
	options: RunOptions,
): Promise<ProgramResult & { verdicts: Verdict[] }> {
	const { only, onVerdict, deadlineMillis } = options;
	const verdicts: Verdict[] = [];
	const result = await runProgram(program, {
		deadlineMillis,
		args: [face.name, url, ...(only === undefined ? [] : [only.scenario, String(only.hook)])],
		nodeArgs: ["--expose-gc"],
		onReport: (report) => {
			if (report.kind !== "report" || report.process !== "program") return;
			const verdict = report.value as Verdict;
			verdicts.push(verdict);
			onVerdict?.(verdict);
		},
	});
	return { ...result, verdicts };
}
