import { type Table, tableOf } from "./section.ts";
import { median, withInterval } from "./statistics.ts";

/** What a measured value is to be. Reported, never asserted: the machine is not always ours alone. */
export interface Target {
	readonly title: string;
	readonly limit: number;
	readonly is: "at most" | "at least";
	readonly unit: string;
	readonly values: readonly number[];
}

export function isMet({ limit, is, values }: Target): boolean {
	return is === "at most" ? median(values) <= limit : median(values) >= limit;
}

/** All of them, and how many are met. */
export function targetTable(targets: readonly Target[]): Table {
	const met = targets.filter(isMet).length;
	const title = `${met} of ${targets.length} targets met; reported, not asserted`;
	return tableOf(title, ["target", "is to be", "is (95 %)", "so it is"], targets.map(targetRow));
}

function targetRow(target: Target): string[] {
	const { title, limit, is, unit, values } = target;
	const digits = limit >= 100 ? 0 : 2;
	return [title, `${is} ${limit}${unit}`, withInterval(values, digits), isMet(target) ? "met" : "NOT MET"];
}
