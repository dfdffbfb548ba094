/** Every block of code in the READMEs and guides runs as it stands, and prints what its comments say. Shell blocks are run by `.ci/run`. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { type PgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import { serverUrl } from "../support/pooled-faces.ts";
import { forkableFlags } from "../support/posix-fork.ts";
import { mariadbUrl } from "../support/server-urls.ts";
import { needsForks } from "../support/skip.ts";

const root = new URL("../../", import.meta.url);
const guides = readdirSync(new URL("docs", root)).filter((name) => name.endsWith(".md"));
const files = [
	"README.md",
	...readdirSync(new URL("packages", root)).map((name) => `packages/${name}/README.md`),
	...guides.map((name) => `docs/${name}`),
];
const FLAGS = [...forkableFlags, "--conditions=@forksafe/source"];
/** What a reader has to bring: Node has no fork of its own. */
const FORK = `import { posixFork as fork } from "${new URL("../support/posix-fork.ts", import.meta.url).href}";\n`;

describe("the READMEs", () => {
	/** Here the packages that the blocks import can be found. */
	const directory = mkdtempSync(fileURLToPath(new URL("../readme-", import.meta.url)));
	let echo: Server;
	let bouncer: PgBouncer;

	before(needsForks);
	before((done) => {
		echo = createServer((socket) => socket.on("error", () => {}).resume());
		echo.listen(0, "127.0.0.1", done);
	});
	before(async function () {
		this.timeout(300_000); // it may have to be installed
		bouncer = await startPgBouncer(serverUrl());
	});
	after(async () => {
		await bouncer?.stop();
		echo.close();
		rmSync(directory, { recursive: true });
	});

	for (const file of files) {
		const text = readFileSync(new URL(file, root), "utf8");
		for (const [index, block] of blocksOf(text, "ts").entries()) {
			it(`${file}: block ${index + 1} of TypeScript does what it says`, async () => {
				const program = `${directory}/${file.replaceAll("/", "-")}-${index}.ts`;
				writeFileSync(program, block.includes("fork()") ? FORK + block : block);
				const { port } = echo.address() as { port: number };
				const { stdout, stderr } = await promisify(execFile)(process.execPath, [...FLAGS, program], {
					env: { ...process.env, PORT: String(port), MYSQL_URL: mariadbUrl("TCP"), PGBOUNCER_URL: bouncer.url },
					timeout: 20_000,
				});
				expect(stderr).to.equal("");
				const printed = stdout.split("\n").filter(Boolean);
				if (block.includes("fork()")) {
					expect(printed[0]).to.match(/^fork: \d+ -> \d+$|^I have/);
					expect(printed).to.include("I have connections of my own").and.include("I have noticed nothing");
				} else {
					expect(printed).to.deep.equal(promised(block));
				}
			});
		}
	}

	it("README.md: its shell blocks are the two commands that `.ci/run` runs", () => {
		const ci = readFileSync(new URL(".ci/run", root), "utf8");
		const commands = files.flatMap((file) => blocksOf(readFileSync(new URL(file, root), "utf8"), "sh"));
		expect(commands.map((command) => command.trim())).to.deep.equal(["npx -y pnpm@12 demo", "npx -y pnpm@12 test"]);
		for (const command of commands) expect(ci).to.include(command.trim());
	});

	it("README.md: who takes a pg Pool was tried at the version that it names", () => {
		const [, table = ""] = readFileSync(new URL("README.md", root), "utf8").split("## Whoever takes a pg Pool");
		const rows = [...table.matchAll(/^\| `([^`]+)` \| ([\d.]+) \|/gm)].map(([, name = "", version]) => [name, version]);
		expect(rows).to.have.length.above(0);
		const consumers = new URL("test/consumers/", root);
		const packages = readdirSync(consumers).map((name) =>
			JSON.parse(readFileSync(new URL(`${name}/package.json`, consumers), "utf8")),
		);
		const tried = Object.assign({}, ...packages.map(({ devDependencies }) => devDependencies));
		for (const [name = "", version] of rows) expect(tried[name], name).to.equal(version);
	});

	it("README.md: every link leads to a file", () => {
		for (const file of files) {
			const text = readFileSync(new URL(file, root), "utf8");
			for (const [, target = ""] of text.matchAll(/\]\((?!https:)([^)#]+)/g)) {
				expect(() => readFileSync(new URL(target, new URL(file, root))), `${file}: ${target}`).not.to.throw();
			}
		}
	});
});

function blocksOf(text: string, language: string): string[] {
	return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, block = ""]) => block);
}

/** `console.log(...); // this` */
function promised(block: string): string[] {
	return [...block.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, comment = ""]) => comment);
}
