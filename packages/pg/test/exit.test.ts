import { expect } from "chai";
import { type ProgramResult, runProgram } from "../../../test/support/program.ts";
import { databaseUrl } from "./support/database.ts";

const idleAtTheEnd = new URL("./programs/idle-at-the-end.ts", import.meta.url);
const waiting = new URL("./programs/waiting.ts", import.meta.url);

function run(program: URL, ...args: string[]): Promise<ProgramResult> {
	return runProgram(program, {
		deadlineMillis: 8_000,
		args,
		env: { DATABASE_URL: databaseUrl() },
	});
}

describe("a process with an idle pool", () => {
	for (const args of [[], ["true"]]) {
		it(`exits, but not while a client is at work (allowExitOnIdle: ${args[0] ?? "not given"})`, async () => {
			const { output, exitCode } = await run(idleAtTheEnd, ...args);
			expect(output).to.equal("first\nsecond\nthird\nfree to go\n");
			expect(exitCode).to.equal(0);
		});
	}

	it("stays until its clients are closed after idleTimeoutMillis, if it is asked to (allowExitOnIdle: false)", async () => {
		const { output, exitCode } = await run(idleAtTheEnd, "false");
		expect(output).to.equal("first\nsecond\nthird\nkept alive\nclosed\n");
		expect(exitCode).to.equal(0);
	});
});

describe("a process that only waits for a client", () => {
	/** Of Node, when the loop is empty and a top-level await has not ended. */
	const GAVE_UP = 13;

	it("stays until it is told that none came, while all are held by somebody who has lost them", async () => {
		const { output, exitCode } = await run(waiting, "ours", "all are held");
		expect(output).to.equal("alone\ntold: timeout exceeded when trying to connect\n");
		expect(exitCode).to.equal(0);
	});

	it("stays until it is told that none came, while it waits for the next try to connect", async () => {
		const { output, exitCode } = await run(waiting, "ours", "the server has gone");
		expect(output).to.match(/^alone\ntold: /);
		expect(exitCode).to.equal(0);
	});

	it("stays until it is told that none came, while it connects", async () => {
		const { output, exitCode } = await run(waiting, "ours", "the server is silent");
		expect(output).to.equal("alone\ntold: Connection terminated due to connection timeout\n");
		expect(exitCode).to.equal(0);
	});

	it("exits with pg's own pool", async () => {
		const { output, exitCode } = await run(waiting, "pg", "all are held");
		expect(output).to.match(/^alone\n(?!told)/);
		expect(exitCode).to.equal(GAVE_UP);
	});
});
