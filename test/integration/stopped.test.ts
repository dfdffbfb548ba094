/** A process that is stopped for longer than its deadlines (SIGSTOP: a frozen container, a suspended machine) and goes on. */
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { runProgram } from "../support/program.ts";

const program = new URL("../programs/stopped.ts", import.meta.url);

/** What became of who waited, after a stop of 3 s in the middle. */
async function afterStop(library: string, whose: "OURS" | "PLAIN"): Promise<unknown> {
	const { reports, output } = await runProgram(program, {
		deadlineMillis: 20_000,
		args: [library, whose],
		onReport: (line) => {
			if (line.kind !== "report" || line.value !== "waiting") return;
			process.kill(line.pid, "SIGSTOP");
			void delay(3_000).then(() => process.kill(line.pid, "SIGCONT"));
		},
	});
	expect(reports, output).to.have.lengthOf(2);
	const [, last] = reports;
	return last?.kind === "report" ? last.value : last;
}

describe("who waits for a connection while the process is stopped", () => {
	before(function () {
		if (process.platform === "win32") {
			console.log("    skipped: Windows has no SIGSTOP");
			this.skip();
		}
	});

	for (const [library, timeOut] of [
		["pg", "timeout exceeded"],
		["Knex", "Timeout acquiring a connection"],
		["Kysely", "timeout exceeded"],
	] as const) {
		it(`is served when the process goes on: ${library}`, async () => {
			expect(await afterStop(library, "OURS")).to.equal("served");
		});

		it(`times out without forksafe: ${library}`, async () => {
			expect(await afterStop(library, "PLAIN")).to.include(timeOut);
		});
	}
});
