/** Test runners that share their files out to processes or threads, over a pool at module level. */
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
const plainKnex = fileURLToPath(new URL("../support/plain-knex.js", import.meta.url));
// They are dependencies of the example.
const require = createRequire(example);
const mocha = ["mocha", "bin/mocha.js", "--config", "test-runners/mocharc.json"];
const vitest = ["vitest", "vitest.mjs", "run", "--config", "test-runners/vitest.config.ts"];
const jest = ["jest", "bin/jest.js", "--config", "test-runners/jest.config.js"];

describe("the example of test runners", () => {
	for (const [name, command, passed] of [
		["mocha in one process", [...mocha, "--no-parallel"], "2 passing"],
		["mocha --parallel", mocha, "2 passing"],
		["vitest in processes", vitest, "2 passed"],
		["vitest in threads", [...vitest, "--pool=threads"], "2 passed"],
		["jest", jest, "2 passed"],
	] as const) {
		it(`${name} comes to its end by itself, and leaves no session`, async () => {
			const { output, applicationName } = await runSuite(command);
			expect(output)
				.to.include(passed)
				.and.not.match(/exit gracefully|did not exit|hanging|timed out/i);
			await untilNoSession(applicationName);
		});
	}

	it("jest has to end its workers by force without forksafe", async () => {
		const mapper = JSON.stringify({ "^@forksafe/knex$": plainKnex });
		const { output } = await runSuite([...jest, `--moduleNameMapper=${mapper}`]);
		expect(output).to.include("2 passed").and.include("failed to exit gracefully");
	});
});

/** @throws Error when the suite fails, or does not come to its end */
async function runSuite([name = "", file = "", ...args]: readonly string[]): Promise<Run> {
	const applicationName = `example-${crypto.randomUUID()}`;
	const environment = exampleEnvironment(applicationName, {});
	if (name === "jest") {
		// It runs all files in its own process when it remembers that they are fast.
		const cache = mkdtempSync(join(tmpdir(), "forksafe-jest-"));
		afterThisTest(async () => rmSync(cache, { recursive: true, force: true }));
		args.push(`--cacheDirectory=${cache}`);
		environment["NODE_OPTIONS"] += " --experimental-vm-modules";
	}
	const binary = join(dirname(require.resolve(`${name}/package.json`)), file);
	const { stdout, stderr } = await promisify(execFile)(process.execPath, [binary, ...args], {
		cwd: dirname(example),
		env: { ...process.env, ...environment, NO_COLOR: "1" },
		timeout: 50_000,
		killSignal: "SIGKILL",
	});
	return { output: stdout + stderr, applicationName };
}

interface Run {
	readonly output: string;
	readonly applicationName: string;
}
