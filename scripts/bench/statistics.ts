export interface Quartiles {
	readonly lower: number;
	readonly median: number;
	readonly upper: number;
}

export function quartiles(values: readonly number[]): Quartiles {
	const sorted = values.toSorted((a, b) => a - b);
	const at = (fraction: number): number => {
		const position = (sorted.length - 1) * fraction;
		const below = sorted[Math.floor(position)] ?? Number.NaN;
		const above = sorted[Math.ceil(position)] ?? Number.NaN;
		return below + (above - below) * (position % 1);
	};
	return { lower: at(0.25), median: at(0.5), upper: at(0.75) };
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
