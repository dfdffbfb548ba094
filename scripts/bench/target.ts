import { quartiles, withQuartiles } from "./statistics.ts";

/** What a measured value is to be. Reported, never asserted: the machine is not always ours alone. */
export interface Target {
	readonly title: string;
	readonly limit: number;
	readonly is: "at most" | "at least";
	readonly unit: string;
	readonly values: readonly number[];
}

export function isMet({ limit, is, values }: Target): boolean {
	const { median } = quartiles(values);
	return is === "at most" ? median <= limit : median >= limit;
}

export function targetRow(target: Target): string[] {
	const { title, limit, is, unit, values } = target;
	const digits = limit >= 100 ? 0 : 2;
	return [title, `${is} ${limit}${unit}`, withQuartiles(values, digits), isMet(target) ? "met" : "NOT MET"];
}
