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

	/** Runs a block of a README, which needs the database. @returns what is not right */
	async runBlock(name: string, block: string, url: string): Promise<string[]> {
		const label = `${this.#language} installed by ${this.#manager}: ${name}`;
		try {
			const program = await this.#program(name, block);
			const env = { ...process.env, DATABASE_URL: url };
			const printed = await run(process.execPath, [program], { cwd: this.#directory, env, timeout: PROGRAM_DEADLINE_MILLIS });
			const expected = promised(block).join("\n");
			return printed.trimEnd() === expected ? [] : [`${label} printed ${JSON.stringify(printed)} in place of ${expected}`];
		} catch (error) {
			return [`${label}: ${String(error)}`];
		}
	}

	/** @returns the file to run */
	async #program(name: string, block: string): Promise<string> {
		if (this.#language === "TypeScript") {
			this.#write(`${name}.ts`, block);
			const tsc = join("node_modules", "typescript", "bin", "tsc");
			await run(process.execPath, [tsc, "-p", "."], { cwd: this.#directory, timeout: INSTALL_DEADLINE_MILLIS });
			return join("out", `${name}.js`);
		}
		const program = stripTypeScriptTypes(block);
		this.#write(`${name}.js`, this.#language === "ESM" ? program : toCommonJs(program));
		return `${name}.js`;
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
