import { acquire } from "./acquire.ts";
import { connect } from "./connect.ts";
import { firstAnswer } from "./first-answer.ts";
import { forks } from "./forks.ts";
import { growth } from "./growth.ts";
import { memory } from "./memory.ts";
import type { Part } from "./part.ts";
import { type MeasuredNode, ownNode, processWatchOn } from "./process-watch.ts";
import { processes } from "./processes.ts";
import { queries } from "./queries.ts";
import type { PartRecord } from "./records.ts";
import type { Section } from "./section.ts";

/** All that is measured, in the order of the report. */
export function partsOn(nodes: readonly MeasuredNode[]): readonly Part<unknown>[] {
	// What one has measured is given to no other.
	const parts = [acquire, growth, queries, processes, connect, firstAnswer, forks, memory, processWatchOn(nodes)];
	return parts as unknown as readonly Part<unknown>[];
}

const parts = partsOn([ownNode]);
export const partNames = parts.map(({ name }) => name);

/** @throws Error when there is no such part */
export function sectionOf(record: PartRecord): Section {
	const part = parts.find(({ name }) => name === record.part);
	if (part === undefined) throw new Error(`nothing is measured under the name "${record.part}", but ${partNames.join(", ")}`);
	return part.describe(record.results, record.effort);
}
