import { type Interval, interval } from "./statistics.ts";

/** A picture of what was measured: medians, with whiskers for their intervals. */
export interface Chart {
	/** Of the file, without its suffix. */
	readonly name: string;
	/** What is measured. */
	readonly title: string;
	/** How, and which way is better. */
	readonly subtitle: string;
	/** `dots`: a line for each name; `lines`: growth, a line for each series. */
	readonly shape: "dots" | "lines";
	/** Of the measured values. */
	readonly valueTitle: string;
	/** Of what it grows with. */
	readonly growthTitle?: string;
	readonly isLogarithmic: boolean;
	/** A value to compare with, drawn through all of it. */
	readonly reference?: number;
	readonly marks: readonly Mark[];
}

/** Who is drawn: the colour says which it is. */
export type Series = string;

export interface Mark extends Interval {
	/** Side by side, for each of these one. */
	readonly panel: string;
	readonly series: Series;
	/** What is measured: a name of a line, or how large it had grown. */
	readonly at: string | number;
}

/** @returns none where nothing was measured */
export function marksOf(panel: string, series: Series, at: string | number, values: readonly number[]): Mark[] {
	return values.length === 0 ? [] : [{ panel, series, at, ...interval(values) }];
}

export const FORKSAFE: Series = "forksafe";
export const PEERS: Series = "others";
export const YARDSTICK: Series = "yardstick";
