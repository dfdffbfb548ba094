/** The blocks of code in a Markdown text, in this language. */
export function blocksOf(text: string, language: string): string[] {
	return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, block = ""]) => block);
}

/** What a block says that it prints: `console.log(...); // this` */
export function promised(block: string): string[] {
	return [...block.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, comment = ""]) => comment);
}
