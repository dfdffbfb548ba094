/** Rows of cells as a table of Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
	const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map(escaped).join(" | ")} |`);
	return `${lines.join("\n")}\n`;
}

/** What is generated stands between two comments that name it; the rest of the page is written by hand. */
export function replaceGenerated(page: string, name: string, content: string): string {
	const [start, end] = marksOf(name);
	const from = page.indexOf(start);
	const to = page.indexOf(end);
	if (from < 0 || to < from) throw new Error(`the page has no ${start} ... ${end}`);
	return `${page.slice(0, from)}${start}\n\n${content}\n${page.slice(to)}`;
}

function marksOf(name: string): [start: string, end: string] {
	return [`<!-- generated: ${name} -->`, `<!-- end of ${name} -->`];
}

function escaped(cell: string): string {
	return cell.replaceAll("|", "\\|").replaceAll("\n", " ");
}
