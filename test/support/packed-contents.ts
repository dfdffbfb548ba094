/** What a packed package has to have, and may not have. Each function takes where it lies unpacked and tells what is not right. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { type PackageName, root } from "./packed-packages.ts";

interface Manifest {
	readonly name: string;
	readonly version: string;
	readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
	readonly dependencies?: Readonly<Record<string, string>>;
	readonly repository?: { readonly directory?: string };
	readonly publishConfig?: { readonly access?: string; readonly provenance?: boolean };
	readonly [field: string]: unknown;
}

/** Everything that is not right about a package, by the functions below. */
export function contentsComplaints(name: PackageName, home: string): string[] {
	return [strayFiles, repositoryWords, danglingReferences, manifestGaps].flatMap((review) => review(name, home));
}

/** There is what is built from the sources, the sources, licence, README and package.json; nothing else, above all no test. */
export function strayFiles(name: PackageName, home: string): string[] {
	const sources = readdirSync(join(root, "packages", name, "src"), { recursive: true, encoding: "utf8" }).map(
		(file) => `src/${file}`,
	);
	const built = sources.flatMap((file) => {
		const stem = file.replace(/^src\//, "dist/").replace(/\.ts$/, "");
		return [".js", ".js.map", ".d.ts", ".d.ts.map"].map((extension) => stem + extension);
	});
	const expected = [...sources, ...built, "LICENSE", "README.md", "package.json"];
	const files = filesIn(home);
	return [
		...(sources.includes("src/index.ts") ? [] : [`${name} has no src/index.ts`]),
		...expected.filter((file) => !files.includes(file)).map((file) => `${name} lacks ${file}`),
		...files.filter((file) => !expected.includes(file)).map((file) => `${name} has ${file}, which is not built from its sources`),
		...sources.filter((file) => file.includes("test")).map((file) => `${name} has ${file}, which is a test`),
	];
}

/** What exists in the repository only is not named. */
export function repositoryWords(name: PackageName, home: string): string[] {
	return filesIn(home).flatMap((file) => {
		const text = readFileSync(join(home, file), "utf8");
		const words = ["@forksafe/source", "workspace:", "catalog:", '"link:', "../test/"].filter((word) => text.includes(word));
		return words.map((word) => `${name}: ${file} has ${word}`);
	});
}

/** Each file that an export or a source map names is there. */
export function danglingReferences(name: PackageName, home: string): string[] {
	const files = filesIn(home);
	const references = Object.values(manifestOf(home).exports)
		.flatMap((target) => (typeof target === "string" ? [target] : Object.values(target)))
		.map((target) => ({ from: "package.json", to: posix.normalize(target) }));
	for (const from of files.filter((file) => file.endsWith(".map"))) {
		const { sources } = JSON.parse(readFileSync(join(home, from), "utf8")) as { sources: string[] };
		references.push(...sources.map((source) => ({ from, to: posix.join(posix.dirname(from), source) })));
	}
	return references
		.filter(({ to }) => !files.includes(to))
		.map(({ from, to }) => `${name}: ${from} names ${to}, which is missing`);
}

/** The registry is told where the package comes from, and a sibling is asked for at the version that it is released with. */
export function manifestGaps(name: PackageName, home: string): string[] {
	const manifest = manifestOf(home);
	const { version, dependencies = {}, repository, publishConfig } = manifest;
	const fields = ["description", "keywords", "homepage", "bugs", "repository", "license", "engines"];
	const gaps = fields.filter((field) => manifest[field] === undefined).map((field) => `${name}: package.json has no ${field}`);
	if (repository?.directory !== `packages/${name}`) gaps.push(`${name}: repository.directory is ${repository?.directory}`);
	if (publishConfig?.access !== "public") gaps.push(`${name}: publishConfig.access is ${publishConfig?.access}`);
	if (publishConfig?.provenance !== true) gaps.push(`${name}: publishConfig.provenance is ${publishConfig?.provenance}`);
	if (version === "0.0.0") gaps.push(`${name}: its version is 0.0.0: pnpm version-packages`);
	for (const [sibling, range] of Object.entries(dependencies)) {
		if (sibling.startsWith("@forksafe/") && range !== `^${version}`)
			gaps.push(`${name} depends on ${sibling} ${range}, not ^${version}`);
	}
	return gaps;
}

function filesIn(home: string): string[] {
	return readdirSync(home, { recursive: true, encoding: "utf8" }).filter((file) => statSync(join(home, file)).isFile());
}

function manifestOf(home: string): Manifest {
	return JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
}
