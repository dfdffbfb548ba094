import { posix } from "node:path";

/**
 * Where a Markdown file of the repository stands in the site; undefined for what is no part of it. The files are written to be read
 * in the repository, too, so their links lead from file to file.
 */
export function sitePath(file: string): string | undefined {
	if (file === "README.md") return "index.md";
	if (file === "ARCHITECTURE.md") return "architecture.md";
	if (file === "examples/README.md") return "examples.md";
	const [, name] = /^packages\/([^/]+)\/README\.md$/.exec(file) ?? [];
	if (name !== undefined) return `packages/${name}.md`;
	if (!file.startsWith("docs/") || !file.endsWith(".md")) return undefined;
	return file.slice("docs/".length).replace(/(^|\/)README\.md$/, "$1index.md");
}

/** The page that a link in a file leads to; undefined where it leads out of the site, into the repository. */
export function siteLink(file: string, link: string): string | undefined {
	const [target = "", hash] = link.split("#", 2);
	const page = sitePath(posix.join(posix.dirname(file), decodeURI(target)));
	return page && `/${page}${hash === undefined ? "" : `#${hash}`}`;
}

/** GitHub's rule for the names of headings. VitePress has another one, and links have to hold in both places. */
export function slug(heading: string): string {
	return heading
		.trim()
		.toLowerCase()
		.replace(/[^\p{L}\p{N}\s_-]/gu, "")
		.replace(/\s/g, "-");
}
