import type { AllocationSample, TimeSample } from "./acquire-worker.ts";
import { FORKSAFE, PEERS, type Series, YARDSTICK } from "./chart.ts";
import { runFresh } from "./fresh-process.ts";
import { BARE, CONNECTIONS, NOTHING, type SubjectName } from "./pool-subjects.ts";
import type { Scale, WorkloadName } from "./workloads.ts";

/** What is sampled, in a fresh process. */
export interface SampleOptions extends Partial<Scale> {
	readonly operations: number;
	readonly warmUpMillis: number;
}

/** Megabytes: 50,000 operations of 10 kB each fit. */
const YOUNG_GENERATION = 512;
const ALLOCATION_FLAGS = [
	"--expose-gc",
	`--min-semi-space-size=${YOUNG_GENERATION}`,
	`--max-semi-space-size=${YOUNG_GENERATION}`,
];

export function sampleTime(workload: WorkloadName, subject: SubjectName, options: SampleOptions): Promise<TimeSample> {
	return sample([], workload, subject, "time", options);
}

export function sampleAllocation(
	workload: WorkloadName,
	subject: SubjectName,
	options: SampleOptions,
): Promise<AllocationSample> {
	return sample(ALLOCATION_FLAGS, workload, subject, "allocation", options);
}

/** In which colour it is drawn. */
export function seriesOf(subject: SubjectName): Series {
	if (subject.startsWith("forksafe")) return FORKSAFE;
	return subject === NOTHING || subject.startsWith(BARE) || subject.startsWith("the same") ? YARDSTICK : PEERS;
}

function sample<Sample>(
	flags: readonly string[],
	workload: WorkloadName,
	subject: SubjectName,
	kind: "time" | "allocation",
	{ operations, warmUpMillis, connections = CONNECTIONS, waiters = 0 }: SampleOptions,
): Promise<Sample> {
	const program = new URL("./acquire-worker.ts", import.meta.url);
	return runFresh(program, [workload, subject, kind, operations, warmUpMillis, connections, waiters], { flags });
}
