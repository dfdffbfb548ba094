/** Test runners that share the files out to processes or threads, over a pool at module level. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { afterThisTest } from "../support/after-this-test.ts";
import { exampleEnvironment, untilNoSession } from "../support/example.ts";

const example = fileURLToPath(new URL("../../examples/test-runners/", import.meta.url));
const require = createRequire(example);
const bin = (name: string, file: string): string => join(dirname(require.resolve(`${name}/package.json`)), file);

/** Less than an idle connection of plain Knex keeps a process alive. */
const deadlineMillis = 25_000;

const runners = [
	{ name: "mocha --parallel", binary: bin("mocha", "bin/mocha.js"), args: ["--config", "test-runners/mocharc.json"], passed: "2 passing" },
	{ name: "vitest in processes", binary: bin("vitest", "vitest.mjs"), args: ["run", "--config", "test-runners/vitest.config.ts"], passed: "2 passed" },
	{
		name: "vitest in threads",
		binary: bin("vitest", "vitest.mjs"),
		args: ["run", "--config", "test-runners/vitest.config.ts", "--pool=threads"],
		passed: "2 passed",
	},
	{ name: "jest", binary: bin("jest", "bin/jest.js"), args: ["--config", "test-runners/jest.config.js"], passed: "2 passed" },
];

describe("the example of test runners", () => {
	for (const { name, binary, args, passed } of runners) {
		it(`${name} comes to its end by itself, and leaves no session`, async () => {
			const { output, applicationName } = await runSuite(binary, args);
			expect(output).to.include(passed).and.not.match(/did not exit|open handle|hanging|close timed out/i);
			await untilNoSession(applicationName);
		});
	}
});

/** @throws Error when it fails, or has to be killed */
async function runSuite(binary: string, args: readonly string[]): Promise<{ output: string; applicationName: string }> {
	const applicationName = `example-${crypto.randomUUID()}`;
	const environment = exampleEnvironment(applicationName, {});
	const cache = mkdtempSync(join(tmpdir(), "forksafe-jest-"));
	afterThisTest(async () => rmSync(cache, { recursive: true, force: true }));
	const { stdout, stderr } = await promisify(execFile)(process.execPath, [binary, ...args], {
		cwd: dirname(example),
		env: {
			...process.env,
			...environment,
			NODE_OPTIONS: `${environment["NODE_OPTIONS"]} --experimental-vm-modules`,
			JEST_CACHE: cache,
			NO_COLOR: "1",
		},
		timeout: deadlineMillis,
		killSignal: "SIGKILL",
	});
	return { output: stdout + stderr, applicationName };
}
