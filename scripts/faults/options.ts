import { parseArgs } from "node:util";
import { scenarios } from "./scenarios.ts";
import { subjects } from "./subjects.ts";
import type { Cell } from "./verdict.ts";

/** What is to be played, and how it is to be taken. */
export interface Options {
	readonly cells: readonly Cell[];
	/** Whether a cell that is not met is only reported. */
	readonly isReport: boolean;
	/** So many scenarios are played at a time, each on a server of its own. */
	readonly lanes: number;
	/** So often each is played: some faults depend on who is first. The worst counts. */
	readonly rounds: number;
}

const mostLanes = 4;

/** @throws Error for an option that does not exist, or that nothing matches */
export function readOptions(args: readonly string[]): Options {
	const { values } = parseArgs({
		args: args.filter((arg) => arg !== "--"),
		options: {
			only: { type: "string", multiple: true, default: [] },
			subject: { type: "string", multiple: true, default: [] },
			short: { type: "boolean", default: false },
			report: { type: "boolean", default: false },
			rounds: { type: "string", default: "1" },
			lanes: { type: "string", default: String(mostLanes) },
		},
	});
	const matches = (name: string, parts: readonly string[]): boolean =>
		parts.length === 0 || parts.some((part) => name.toLowerCase().includes(part.toLowerCase()));
	const cells = scenarios
		.filter(({ name, isLong = false }) => matches(name, values.only) && !(values.short && isLong))
		.flatMap((scenario) =>
			(scenario.ways ?? [{ transport: "TCP", wake: "timer" } as const]).flatMap((way) =>
				subjects
					.filter(({ name, isProtected }) => matches(name, values.subject) && (isProtected || !scenario.isOursOnly))
					.map((subject) => ({ scenario, way, subject })),
			),
		);
	if (cells.length === 0) throw new Error("nothing of that name; see scripts/faults/subjects.ts and scenarios.ts");
	const lanes = Math.max(1, Math.min(Number(values.lanes) || mostLanes, cells.length));
	return { cells, isReport: values.report, lanes, rounds: Math.max(1, Number(values.rounds) || 1) };
}
