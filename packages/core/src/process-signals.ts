import type { ProcessChangeCause } from "./process-change.ts";
import { COSTLY_TRUTH_INTERVAL_MILLIS, registry, truth, watchesParent } from "./process-registry.ts";

/** One of the things that a process change is noticed by. */
export interface ProcessSignal {
	readonly name: string;
	/** What it tells of. */
	readonly cause: Exclude<ProcessChangeCause, "reported">;
	readonly isAvailable: boolean;
	/** When it is looked at, or why it is not available. */
	readonly detail: string;
}

/** What a process change is noticed by, here and now: for a look at what can be relied on in this place. */
export function processSignals(): readonly ProcessSignal[] {
	const { detector, vmClock } = registry;
	const everyLook = "looked at on every acquire";
	return [
		{ name: "process.pid", cause: "snapshot", isAvailable: true, detail: everyLook },
		{
			name: "process.ppid",
			cause: "fork",
			isAvailable: watchesParent && detector === undefined,
			detail: watchesParent
				? detector === undefined
					? everyLook
					: "the detector is looked at in its place"
				: "Windows has no fork",
		},
		{
			name: "detector",
			cause: "fork",
			isAvailable: detector !== undefined,
			detail: detector === undefined ? "none was given: @forksafe/sentinel has one" : everyLook,
		},
		{
			name: "true pid",
			cause: "fork",
			isAvailable: watchesParent,
			detail:
				`${truth.source}, asked by a maintenance tick ${truth.isCheap ? "" : `every ${COSTLY_TRUTH_INTERVAL_MILLIS} ms`}`.trim(),
		},
		{
			name: "vmclock",
			cause: "clone",
			isAvailable: vmClock.flaw === undefined,
			detail: `${vmClock.path}: ${vmClock.flaw ?? "read on every maintenance tick"}`,
		},
	];
}
