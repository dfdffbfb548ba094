/** Every block of code in the READMEs and guides runs as it stands, and prints what its comments say. Shell blocks are run by `.ci/run`. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import pLimit from "p-limit";
import { files } from "../support/guides.ts";
import { type PgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import { serverUrl } from "../support/pooled-faces.ts";
import { forkableFlags } from "../support/posix-fork.ts";
import { blocksOf, promised } from "../support/readme-blocks.ts";
import { mariadbUrl } from "../support/server-urls.ts";
import { needsForks } from "../support/skip.ts";

const root = new URL("../../", import.meta.url);
const blocks = files.flatMap((file) =>
	blocksOf(readFileSync(new URL(file, root), "utf8"), "ts").map((block, index) => ({ file, number: index + 1, block })),
);
const FLAGS = [...forkableFlags, "--conditions=@forksafe/source"];
/** What a reader has to bring: Node has no fork of its own. */
const FORK = `import { posixFork as fork } from "${new URL("../support/posix-fork.ts", import.meta.url).href}";\n`;
/** They wait for servers and timers most of the time. */
const threeAtATime = pLimit(3);

describe("the READMEs", () => {
	/** Here the packages that the blocks import can be found. */
	const directory = mkdtempSync(fileURLToPath(new URL("../readme-", import.meta.url)));
	const runs = new Map<string, Promise<{ stdout: string; stderr: string }>>();
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
	before("start the blocks", () => {
		for (const { file, number, block } of blocks) {
			const run = threeAtATime(() => runBlock(`${directory}/${file.replaceAll("/", "-")}-${number}.ts`, block));
			run.catch(() => {}); // its own test is told
			runs.set(`${file} ${number}`, run);
		}
	});
	after(async () => {
		await Promise.allSettled(runs.values());
		await bouncer?.stop();
		echo.close();
		rmSync(directory, { recursive: true });
	});

	function runBlock(program: string, block: string): Promise<{ stdout: string; stderr: string }> {
		writeFileSync(program, block.includes("fork()") ? FORK + block : block);
		const { port } = echo.address() as { port: number };
		return promisify(execFile)(process.execPath, [...FLAGS, program], {
			env: { ...process.env, PORT: String(port), MYSQL_URL: mariadbUrl("TCP"), PGBOUNCER_URL: bouncer.url },
			timeout: 40_000,
		});
	}

	for (const { file, number, block } of blocks) {
		it(`${file}: block ${number} of TypeScript does what it says`, async function () {
			this.timeout(120_000); // others may have to be run first
			const { stdout, stderr } = (await runs.get(`${file} ${number}`)) ?? { stdout: "", stderr: "it was not started" };
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

	it("README.md: its shell blocks are the two commands that `.ci/run` runs, and what there is to install", () => {
		const ci = readFileSync(new URL(".ci/run", root), "utf8");
		const lines = files
			.flatMap((file) => blocksOf(readFileSync(new URL(file, root), "utf8"), "sh"))
			.join("")
			.split("\n");
		const isInstall = (line: string): boolean => line.startsWith("npm install ");
		const commands = lines.filter((line) => line !== "" && !isInstall(line));
		expect(commands).to.deep.equal(["npx -y pnpm@12 demo", "npx -y pnpm@12 test"]);
		for (const command of commands) expect(ci).to.include(command);
		for (const line of lines.filter(isInstall)) {
			const [, , own = "", ...peers] = line.replace(/ +#.*/, "").split(" ");
			const { name, peerDependencies } = JSON.parse(
				readFileSync(new URL(`packages/${own.replace("@forksafe/", "")}/package.json`, root), "utf8"),
			);
			expect(name).to.equal(own);
			expect(Object.keys(peerDependencies), own).to.include.members(peers);
		}
		expect(lines.filter(isInstall)).to.have.length.above(0);
	});

	it("docs/compatibility.md: who takes a pg Pool was tried at the version that it names", () => {
		const table = readFileSync(new URL("docs/compatibility.md", root), "utf8");
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
