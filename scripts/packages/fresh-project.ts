/** An application that has installed the packed packages, and what else it needs from the registry, by npm or by pnpm. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { parse, stringify } from "yaml";
import { toCommonJs } from "../../test/support/common-js.ts";
import { type PackageName, root, run, tarballOf } from "../../test/support/packed-packages.ts";
import { promised } from "../../test/support/readme-blocks.ts";

export const managers = ["npm", "pnpm"] as const;
export const languages = ["ESM", "CommonJS", "TypeScript"] as const;
type Manager = (typeof managers)[number];
type Language = (typeof languages)[number];

const INSTALL_DEADLINE_MILLIS = 60_000;
const PROGRAM_DEADLINE_MILLIS = 20_000;
const OURS: readonly PackageName[] = ["core", "pg", "mysql2", "knex", "kysely"];

/** A project in a directory of its own. */
export class FreshProject {
	readonly #directory: string;
	readonly #manager: Manager;
	readonly #language: Language;

	constructor(directory: string, manager: Manager, language: Language) {
		this.#directory = join(directory, `${manager}-${language}`);
		this.#manager = manager;
		this.#language = language;
	}

	/** @throws Error with what npm or pnpm has said */
	async install(tarballs: string): Promise<void> {
		mkdirSync(this.#directory);
		const ours = Object.fromEntries(OURS.map((name) => [`@forksafe/${name}`, `file:${tarballOf(tarballs, name)}`]));
		const isTypeScript = this.#language === "TypeScript";
		const dependencies = { ...ours, ...fromCatalog(["knex", "kysely", "pg"]) };
		const devDependencies = isTypeScript ? fromCatalog(["@types/node", "@types/pg", "typescript"]) : {};
		const type = this.#language === "CommonJS" ? "commonjs" : "module";
		this.#write("package.json", JSON.stringify({ name: "application", private: true, type, dependencies, devDependencies }));
		const compilerOptions = { target: "es2023", module: "nodenext", types: ["node"], strict: true, outDir: "out", rootDir: "." };
		if (isTypeScript) this.#write("tsconfig.json", JSON.stringify({ compilerOptions, include: ["*.ts"] }));
		// What the packages ask for of each other is not in the registry yet; npm takes what is installed already.
		this.#write("pnpm-workspace.yaml", stringify({ packages: ["."], overrides: ours }));
		const options = this.#manager === "npm" ? ["--no-audit", "--no-fund", "--loglevel=error"] : ["--no-frozen-lockfile"];
		await run(this.#manager, ["install", ...options], { cwd: this.#directory, timeout: INSTALL_DEADLINE_MILLIS });
	}

	/** Runs blocks of a README, which need the database, one after the other. @returns what is not right */
	async runBlocks(blocks: readonly string[], url: string): Promise<string[]> {
		const env = { ...process.env, DATABASE_URL: url };
		const complaints: string[] = [];
		for (const [index, program] of (await this.#programs(blocks)).entries()) {
			const label = `${this.#language} installed by ${this.#manager}, ${program}`;
			const expected = promised(blocks[index] ?? "").join("\n");
			await run(process.execPath, [program], { cwd: this.#directory, env, timeout: PROGRAM_DEADLINE_MILLIS }).then(
				(printed) => {
					if (printed.trimEnd() !== expected) complaints.push(`${label} printed ${JSON.stringify(printed)}, not ${expected}`);
				},
				(error: unknown) => void complaints.push(`${label}: ${String(error)}`),
			);
		}
		return complaints;
	}

	/** @returns the files to run, one for each block. @throws Error with what the compiler has said */
	async #programs(blocks: readonly string[]): Promise<string[]> {
		const names = blocks.map((_, index) => `block-${index + 1}`);
		if (this.#language !== "TypeScript") {
			for (const [index, block] of blocks.entries()) {
				const program = stripTypeScriptTypes(block);
				this.#write(`${names[index]}.js`, this.#language === "ESM" ? program : toCommonJs(program));
			}
			return names.map((name) => `${name}.js`);
		}
		for (const [index, block] of blocks.entries()) this.#write(`${names[index]}.ts`, block);
		const tsc = join("node_modules", "typescript", "bin", "tsc");
		await run(process.execPath, [tsc, "-p", "."], { cwd: this.#directory, timeout: INSTALL_DEADLINE_MILLIS });
		return names.map((name) => join("out", `${name}.js`));
	}

	#write(file: string, text: string): void {
		writeFileSync(join(this.#directory, file), text);
	}
}

/** These packages, at the versions that the workspace is tested with. */
function fromCatalog(names: readonly string[]): Record<string, string> {
	const { catalog } = parse(readFileSync(join(root, "pnpm-workspace.yaml"), "utf8")) as { catalog: Record<string, string> };
	return Object.fromEntries(
		names.map((name) => {
			const version = catalog[name];
			if (version === undefined) throw new Error(`pnpm-workspace.yaml: ${name} is not in the catalog`);
			return [name, version];
		}),
	);
}
