/** A column of a {@link table}. */
export interface Column {
	readonly title: string;
	/** @default "right" */
	readonly align?: "left" | "right";
}

/** Lays out plain text in columns, two blanks apart, below their titles. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
	const titles = columns.map(({ title }) => title);
	const widths = titles.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
	const line = (cells: readonly string[]): string =>
		columns
			.map(({ align = "right" }, at) => {
				const [cell, width] = [cells[at] ?? "", widths[at] ?? 0];
				return align === "left" ? cell.padEnd(width) : cell.padStart(width);
			})
			.join("  ")
			.trimEnd();
	return [line(titles), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
