import type { Effort } from "./effort.ts";
import type { Section } from "./section.ts";

/** Something that is measured on its own: what was measured is kept as it is, and a report can be made of it at any time. */
export interface Part<Results> {
	readonly name: string;
	/** One line, for whoever waits. */
	measure(effort: Effort, progress: (text: string) => void): Promise<Results>;
	describe(results: Results, effort: Effort): Section;
}
