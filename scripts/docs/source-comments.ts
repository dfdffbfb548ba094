import { readFileSync } from "node:fs";

/** A property of an interface: what its TSDoc says, and the default that stands there. */
export interface DocumentedProperty {
	readonly name: string;
	readonly text: string;
	/** What follows `@default`. */
	readonly fallback: string | undefined;
}

/** The properties of an exported interface, in their order. TypeScript 7 has no API that could be asked. */
export function propertiesOf(file: URL, interfaceName: string): DocumentedProperty[] {
	const [, body] =
		new RegExp(`^export interface ${interfaceName}\\b[^\\n]*\\{\\n(.*?)^\\}`, "ms").exec(readFileSync(file, "utf8")) ?? [];
	if (body === undefined) throw new Error(`${file.pathname} has no interface ${interfaceName}`);
	return [...body.matchAll(/(?:^\t\/\*\*((?:(?!\*\/).)*)\*\/\n)?^\t(\w+)\??:/gms)].map(([, comment = "", name = ""]) => {
		const [text = "", ...tags] = unfolded(comment).split(/\s*(?=@(?:default|deprecated|throws)\b)/);
		return {
			name,
			text: text.startsWith("@") ? "" : text.trim(),
			fallback: tags.find((tag) => tag.startsWith("@default "))?.slice("@default ".length),
		};
	});
}

function unfolded(comment: string): string {
	return comment
		.replace(/^\s*\* ?/gm, "")
		.replace(/\{@link (\w+)\}/g, "`$1`")
		.replace(/\s+/g, " ")
		.trim();
}
