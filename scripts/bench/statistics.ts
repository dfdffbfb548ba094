export interface Quartiles {
	readonly lower: number;
	readonly median: number;
	readonly upper: number;
}

export function quartiles(values: readonly number[]): Quartiles {
	return { lower: quantile(values, 0.25), median: quantile(values, 0.5), upper: quantile(values, 0.75) };
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

/** As in `1.05 (1.01-1.12)`; the empty string where nothing was measured. */
export function withQuartiles(values: readonly number[], digits: number): string {
	if (values.length === 0) return "";
	const { lower, median, upper } = quartiles(values);
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

export function mean(values: readonly number[]): number {
	return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The mean and what it lies within with a confidence of 95 %, as in `0.912 (0.905-0.919)`; values are taken for normal. */
export function withInterval(values: readonly number[], digits: number): string {
	const count = values.length;
	const middle = mean(values);
	const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (count - 1);
	const margin = studentT(count - 1) * Math.sqrt(variance / count);
	return `${middle.toFixed(digits)} (${(middle - margin).toFixed(digits)}-${(middle + margin).toFixed(digits)})`;
}

/** Student's t of 95 %, two-sided, by Cornish and Fisher's expansion around the normal quantile: within 1 % from 3 degrees on. */
function studentT(degrees: number): number {
	const z = 1.959964;
	return (
		z +
		(z ** 3 + z) / (4 * degrees) +
		(5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2) +
		(3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * degrees ** 3)
	);
}
