import { type ProgramOptions, runProgram } from "./program.ts";

/** What a program with many cases (`test/programs/forked-*.ts`) says of each that it came to. */
export interface Verdicts {
	/** By the name of the case: "ok", or its first error. */
	readonly verdict: ReadonlyMap<string, string>;
	readonly output: string;
}

/** A race of two copies may end well so often. */
const RUNS_AT_MOST = 5;

export async function verdictsOf(program: URL, options: Omit<ProgramOptions, "onReport">): Promise<Verdicts> {
	const verdict = new Map<string, string>();
	const { output } = await runProgram(program, {
		...options,
		onReport: (line) => {
			if (line.kind !== "report" || line.process !== "program") return;
			const { name, verdict: said } = line.value as { name: string; verdict: string };
			verdict.set(name, said);
		},
	});
	return { verdict, output };
}

/** What went wrong with a case in the first of some runs in which something did. */
export async function harmIn(name: string, run: () => Promise<Verdicts>): Promise<string | undefined> {
	for (let n = 0; n < RUNS_AT_MOST; n++) {
		const { verdict } = await run();
		if (verdict.get(name) !== "ok") return verdict.get(name);
	}
	return undefined;
}
