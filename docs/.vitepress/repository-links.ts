import { relative } from "node:path";
import type { MarkdownRenderer } from "vitepress";
import { siteLink } from "./site-path.ts";

/**
 * Makes links between files of the repository links between pages of the site. What leads to a file that is no page (a test, a
 * source) becomes text: the site has to be readable without the repository.
 */
export function repositoryLinks(markdown: MarkdownRenderer, root: string): void {
	markdown.core.ruler.push("repository-links", ({ tokens, env }) => {
		const file = relative(root, env.realPath ?? env.path);
		for (const { children } of tokens) {
			if (children === null) continue;
			let isText = false;
			for (const token of children) {
				if (token.type === "link_open") {
					const link = token.attrGet("href") ?? "";
					if (/^([a-z]+:|#|\/)/.test(link)) continue;
					const page = siteLink(file, link);
					if (page === undefined) isText = true;
					else token.attrSet("href", page);
				}
				if (isText && (token.type === "link_open" || token.type === "link_close")) {
					if (token.type === "link_close") isText = false;
					token.type = "text";
					token.content = "";
				}
			}
		}
	});
}
