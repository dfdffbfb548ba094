/** What of the committed pages is generated. */
import { readFileSync } from "node:fs";
import { CONTRACT_LINES, scenariosOfLine } from "./contract-lists.ts";
import { replaceGenerated } from "./markdown.ts";
import { knexTable, longTable, pgTable, shortTable } from "./option-tables.ts";

const root = new URL("../../", import.meta.url);

const parts: Record<string, Record<string, () => string>> = {
	"README.md": { "options in short": shortTable },
	"docs/options.md": { "all options": longTable, "options of pg": pgTable, "options of Knex": knexTable },
	"docs/contract.md": Object.fromEntries(
		Array.from({ length: CONTRACT_LINES }, (_, index) => [`scenarios of line ${index + 1}`, () => scenariosOfLine(index + 1)]),
	),
};

/** Pages with something generated in them: as they are, and as they have to be. */
export function generatedPages(): {
	readonly path: string;
	readonly file: URL;
	readonly is: string;
	readonly shouldBe: string;
}[] {
	return Object.entries(parts).map(([path, contents]) => {
		const file = new URL(path, root);
		const is = readFileSync(file, "utf8");
		const shouldBe = Object.entries(contents).reduce((page, [name, make]) => replaceGenerated(page, name, make()), is);
		return { path, file, is, shouldBe };
	});
}
