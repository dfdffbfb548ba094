import { readdirSync } from "node:fs";

const root = new URL("../../", import.meta.url);
/** What tools put there is not written by hand. */
const NO_GUIDES = /(^|\/)(node_modules|\.vitepress|api)\//;
const guides = readdirSync(new URL("docs", root), { recursive: true, encoding: "utf8" }).filter(
	(name) => name.endsWith(".md") && !NO_GUIDES.test(name),
);

/** The texts for users, by their paths from the root of the repository. */
export const files: readonly string[] = [
	"README.md",
	...readdirSync(new URL("packages", root)).map((name) => `packages/${name}/README.md`),
	...guides.map((name) => `docs/${name}`).sort(),
];
