/** A median, and what it lies within. */
export interface Interval {
	readonly lower: number;
	readonly median: number;
	readonly upper: number;
}

/** Of a two-sided interval. */
export const CONFIDENCE = 0.95;

/**
 * The median with its exact interval: the pair of values, as far in as can be, between which the median of all that might have been
 * measured lies with a probability of 95 % at the least, whatever their distribution. Of fewer than six no pair is that sure: then it
 * is the least and the greatest.
 */
export function interval(values: readonly number[]): Interval {
	const sorted = values.toSorted((a, b) => a - b);
	const outside = cutOff(sorted.length);
	const [lower = Number.NaN, upper = Number.NaN] = [sorted[outside], sorted[sorted.length - 1 - outside]];
	return { lower, median: quantile(values, 0.5), upper };
}

export function median(values: readonly number[]): number {
	return quantile(values, 0.5);
}

/** How many of so many sorted values can be left out at either end: each lies on either side of the median with the odds of a coin. */
function cutOff(count: number): number {
	let probability = 0.5 ** count;
	let below = 0;
	for (let outside = 0; outside < count / 2; outside++) {
		below += probability;
		if (2 * below > 1 - CONFIDENCE) return Math.max(0, outside - 1);
		probability *= (count - outside) / (outside + 1);
	}
	return 0;
}

/** The value that this part of all is not above; between two of them, what lies between. */
export function quantile(values: readonly number[], fraction: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	const position = (sorted.length - 1) * fraction;
	const below = sorted[Math.floor(position)] ?? Number.NaN;
	const above = sorted[Math.ceil(position)] ?? Number.NaN;
	return below + (above - below) * (position % 1);
}

/** Paired: what was measured in the same round is divided. None where the other was not measured. */
export function ratios(values: readonly number[], by: readonly number[]): number[] {
	return by.length === 0 ? [] : values.map((value, round) => value / (by[round] ?? Number.NaN));
}

/** As in `1.05 (1.01-1.12)`: the median and its interval; the empty string where nothing was measured. */
export function withInterval(values: readonly number[], digits: number): string {
	if (values.length === 0) return "";
	const { lower, median, upper } = interval(values);
	return `${median.toFixed(digits)} (${lower.toFixed(digits)}-${upper.toFixed(digits)})`;
}

/** Each round begins with another one, and every second goes backwards: none always follows the same neighbour. */
export function inOrderOf<T>(round: number, all: readonly T[]): T[] {
	const first = round % all.length;
	const order = [...all.slice(first), ...all.slice(0, first)];
	return round % 2 === 0 ? order : order.reverse();
}

/** Jain's index: 1 when all have had the same, 1/n when one has had everything. */
export function jain(counts: readonly number[]): number {
	const sum = counts.reduce((total, count) => total + count, 0);
	return sum ** 2 / (counts.length * counts.reduce((total, count) => total + count ** 2, 0));
}
