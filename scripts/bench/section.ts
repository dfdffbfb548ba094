import { type Column, table } from "../demo/table.ts";
import type { Chart } from "./chart.ts";
import type { Target } from "./target.ts";

/** What one part of the benchmarks says, on a terminal and in the report. */
export interface Section {
	readonly title: string;
	/** What was done, and what is to be known about it. */
	readonly paragraphs: readonly string[];
	readonly tables: readonly Table[];
	readonly charts: readonly Chart[];
	readonly targets: readonly Target[];
}

export interface Table {
	readonly title: string;
	readonly columns: readonly Column[];
	readonly rows: readonly (readonly string[])[];
}

/** The first column names the row. */
export function tableOf(title: string, titles: readonly string[], rows: readonly (readonly string[])[]): Table {
	const filled = titles.map((_, at) => rows.some((row) => row[at] !== ""));
	const shown = <T>(cells: readonly T[]): T[] => cells.filter((_, at) => filled[at]);
	const columns = titles.map((column, at): Column => ({ title: column, align: at === 0 ? "left" : "right" }));
	return { title, columns: shown(columns), rows: rows.map(shown) };
}

export function asText({ title, paragraphs, tables }: Section): string {
	return [`== ${title}`, ...paragraphs, tablesAsText(tables)].join("\n\n");
}

export function tablesAsText(tables: readonly Table[]): string {
	return tables.map(({ title, columns, rows }) => `${title}\n\n${table(columns, rows)}`).join("\n\n");
}

/** For GitHub and VitePress: a heading of the second level, and of the third for each table. */
export function asMarkdown({ title, paragraphs, tables, charts }: Section): string {
	return [
		`## ${title}`,
		...paragraphs,
		...charts.map((chart) => `![${chart.title}](./${chart.name}.svg)`),
		...tables.map((one) => `### ${one.title}\n\n${markdownTable(one)}`),
	].join("\n\n");
}

export function markdownTable({ columns, rows }: Pick<Table, "columns" | "rows">): string {
	const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
	return [
		line(columns.map(({ title }) => title)),
		line(columns.map(({ align = "right" }) => (align === "right" ? "---:" : "---"))),
		...rows.map(line),
	].join("\n");
}
