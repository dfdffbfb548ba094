/** The packages as they are published, in applications of every kind that may use them, without the network. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { toCommonJs } from "../support/common-js.ts";
import { danglingReferences, manifestGaps, repositoryWords, strayFiles } from "../support/packed-contents.ts";
import { type Installed, layOut, type PackageName, pack, packageNames, root, run, tsc } from "../support/packed-packages.ts";
import { skipWithReason } from "../support/skip.ts";

const require = createRequire(import.meta.url);
const ofKnex = "packages/knex/node_modules";
const installed: Installed = {
	"@types/node": "node_modules/@types/node",
	"@types/pg": `${ofKnex}/@types/pg`,
	jest: dirname(require.resolve("jest/package.json")),
	knex: `${ofKnex}/knex`,
	kysely: "packages/kysely/node_modules/kysely",
	pg: `${ofKnex}/pg`,
	tarn: `${ofKnex}/tarn`,
};

/** Programs in the syntax that JavaScript and TypeScript share. Each prints one row that PostgreSQL has answered. */
const consumers = {
	knex: `import { ForkSafePostgres } from "@forksafe/knex";
import knex from "knex";

async function main() {
	const db = knex({ client: ForkSafePostgres, connection: process.env["DATABASE_URL"] ?? "", pool: { min: 0, processWatch: "once" } });
	const { rows } = await db.raw("select ?::int as n", [1]);
	console.log(JSON.stringify(rows));
	await db.destroy();
}
void main();
`,
	kysely: `import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Kysely, sql } from "kysely";

async function main() {
	const pool = { connectionString: process.env["DATABASE_URL"] ?? "", processWatch: "once" } as const;
	const db = new Kysely({ dialect: new ForkSafePostgresDialect({ pool }) });
	const { rows } = await sql\`select \${1}::int as n\`.execute(db);
	console.log(JSON.stringify(rows));
	await db.destroy();
}
void main();
`,
	pg: `import { OptionError } from "@forksafe/core";
import { Pool } from "@forksafe/pg";

async function main() {
	const pool = new Pool({ connectionString: process.env["DATABASE_URL"] ?? "", processWatch: "once" });
	const { rows } = await pool.query("select $1::int as n", [1]);
	if (new OptionError("max", 0, "must be more").code === "ERR_FORKSAFE_OPTION") console.log(JSON.stringify(rows));
	await pool.end();
}
void main();
`,
} as const;

const ANSWER = '[{"n":1}]\n';

/** What TypeScript must not accept. */
const misuse = `import { ForkSafePostgres } from "@forksafe/knex";
import knex from "knex";

// @ts-expect-error
knex({ client: ForkSafePostgres, pool: { processWatch: "sometimes" } });
// @ts-expect-error
knex({ client: ForkSafePostgres, pool: { maxPendng: 5 } });
// @ts-expect-error
knex({ client: ForkSafePostgres.name.length });
`;

const importsInHook = `const knex = require("knex");

let db;
beforeAll(async () => {
	const { ForkSafePostgres } = await import("@forksafe/knex");
	db = knex({ client: ForkSafePostgres, connection: process.env.DATABASE_URL });
});
afterAll(() => db.destroy());

test("PostgreSQL answers", async () => {
	const { rows } = await db.raw("select 1 as n");
	expect(rows).toEqual([{ n: 1 }]);
});
`;

describe("the packed packages", function () {
	this.timeout(120_000);

	let directory: string;
	let tarballs: string;
	let application: string;

	before(async function () {
		if (process.platform === "win32") skipWithReason(this, "Windows starts pnpm through a shell");
		directory = mkdtempSync(join(tmpdir(), "forksafe-packed-"));
		tarballs = join(directory, "tarballs");
		application = join(directory, "application");
		await pack(tarballs);
		await layOut(tarballs, application, installed);
	});
	after(() => {
		if (directory !== undefined) rmSync(directory, { recursive: true });
	});

	it("are all that there are", () => {
		expect(packageNames).to.have.members(readdirSync(join(root, "packages")));
	});

	for (const name of packageNames) {
		describe(`@forksafe/${name}`, () => {
			const reviewed = (review: (name: PackageName, home: string) => string[]): string[] =>
				review(name, join(application, "node_modules/@forksafe", name));

			it("has what is built from its sources, with them, and nothing else", () => {
				expect(reviewed(strayFiles)).to.deep.equal([]);
			});

			it("names nothing that exists in the repository only", () => {
				expect(reviewed(repositoryWords)).to.deep.equal([]);
			});

			it("has every file that it refers to", () => {
				expect(reviewed(danglingReferences)).to.deep.equal([]);
			});

			it("tells the registry what it is, and asks for its siblings at its own version", () => {
				expect(reviewed(manifestGaps)).to.deep.equal([]);
			});
		});
	}

	for (const [name, program] of Object.entries(consumers)) {
		it(`answer an ES module: ${name}`, async () => {
			expect(await runFile(application, `${name}.mjs`, withoutTypes(program))).to.equal(ANSWER);
		});

		it(`answer CommonJS: ${name}`, async () => {
			expect(await runFile(application, `${name}.cjs`, toCommonJs(withoutTypes(program)))).to.equal(ANSWER);
		});
	}

	for (const version of ["3.3", "3.1"]) {
		it(`answer TypeScript, compiled with all checks of the libraries, as either: over Knex ${version}`, async () => {
			const home = join(directory, `typescript-${version}`);
			const knex = version === "3.1" ? { knex: `${ofKnex}/knex-3.1` } : {};
			await layOut(tarballs, home, { ...installed, ...knex });
			for (const extension of ["mts", "cts"]) {
				for (const [name, program] of Object.entries({ ...consumers, misuse })) {
					writeFileSync(join(home, `${name}.${extension}`), program);
				}
			}
			const compilerOptions = {
				target: "es2023",
				module: "nodenext",
				types: ["node"],
				strict: true,
				exactOptionalPropertyTypes: true,
				skipLibCheck: false,
				outDir: "out",
				rootDir: ".",
			};
			writeFileSync(join(home, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*"] }));
			await run(process.execPath, [tsc, "-p", "."], { cwd: home });
			for (const name of Object.keys(consumers)) {
				for (const extension of ["mjs", "cjs"]) {
					const program = `out/${name}.${extension}`;
					expect(await run(process.execPath, [program], { cwd: home }), program).to.equal(ANSWER);
				}
			}
		});
	}

	describe("in Jest, by the recipe of packages/knex/README.md", () => {
		const readme = readFileSync(new URL("../../packages/knex/README.md", import.meta.url), "utf8");
		const recipe = readme.slice(readme.indexOf("## Jest"));
		const [, manifest = ""] = /^```json\n(.*?)^```$/ms.exec(recipe) ?? [];
		const [, test = ""] = /^```js\n(.*?)^```$/ms.exec(recipe) ?? [];

		const ofTsJest = "test/ts-jest/node_modules";
		const forTsJest: Installed = { "@types/jest": `${ofTsJest}/@types/jest`, "ts-jest": `${ofTsJest}/ts-jest` };
		const compilerOptions = { target: "es2023", module: "nodenext", types: ["node", "jest"], isolatedModules: true };

		/** Runs the test of the recipe by its script, in a file of this name. */
		async function jest(
			file: string,
			text: string,
			more = {},
			others: Installed = {},
		): Promise<{ success: boolean; numPassedTests: number }> {
			const home = join(directory, `jest-${file}`);
			const cache = join(directory, `cache-of-${file}`);
			await layOut(tarballs, home, { ...installed, ...others });
			mkdirSync(cache);
			const { scripts } = JSON.parse(manifest) as { scripts: { test: string } };
			writeFileSync(join(home, "package.json"), JSON.stringify({ name: "application", scripts, ...more }));
			writeFileSync(join(home, "tsconfig.json"), JSON.stringify({ compilerOptions }));
			writeFileSync(join(home, file), text);
			const [node, ...args] = scripts.test.split(" ");
			expect(node).to.equal("node");
			const env = { ...process.env, TMPDIR: cache };
			return JSON.parse(await run(process.execPath, [...args, "--json"], { cwd: home, env }));
		}

		it("runs a test that is an ES module by its name", async () => {
			expect(await jest("by-name.test.mjs", test)).to.include({ success: true, numPassedTests: 1 });
		});

		it("runs a test that is an ES module by its package's type", async () => {
			expect(await jest("by-type.test.js", test, { type: "module" })).to.include({ success: true, numPassedTests: 1 });
		});

		it("runs a test that ts-jest makes an ES module", async () => {
			const more = { type: "module", jest: { preset: "ts-jest/presets/default-esm" } };
			expect(await jest("as-esm.test.ts", test, more, forTsJest)).to.include({ success: true, numPassedTests: 1 });
		});

		it("runs a test that ts-jest makes CommonJS, from Node 24.9 on", async function () {
			needsRequireInJest(this);
			const more = { jest: { preset: "ts-jest" } };
			expect(await jest("as-cjs.test.ts", test, more, forTsJest)).to.include({ success: true, numPassedTests: 1 });
		});

		it("runs a test that is CommonJS, from Node 24.9 on", async function () {
			needsRequireInJest(this);
			expect(await jest("required.test.js", toCommonJs(test))).to.include({ success: true, numPassedTests: 1 });
		});

		it("runs a test that is CommonJS, and imports the packages in a hook", async () => {
			expect(await jest("in-hook.test.js", importsInHook)).to.include({ success: true, numPassedTests: 1 });
		});
	});
});

function needsRequireInJest(context: Mocha.Context): void {
	const { node } = process.versions;
	const [major = 0, minor = 0] = node.split(".").map(Number);
	if (major < 24 || (major === 24 && minor < 9)) skipWithReason(context, `Jest cannot require ES modules on Node ${node}`);
}

async function runFile(home: string, file: string, text: string): Promise<string> {
	writeFileSync(join(home, file), text);
	return run(process.execPath, [file], { cwd: home });
}

function withoutTypes(program: string): string {
	return program.replaceAll(" as const", "");
}
