import { expect } from "chai";
import { runProgram } from "../../../test/support/program.ts";

describe("a program whose connections are ended by the server", () => {
	it("lives, is told by the queries that were lost, and has its next ones answered", async () => {
		const url = new URL("fixtures/lost-connections.ts", import.meta.url);
		const { reports, exitCode, output } = await runProgram(url, { deadlineMillis: 9_000 });
		expect(output).to.equal("");
		expect(reports.map((report) => "value" in report && report.value)).to.deep.equal([
			{ after: "idle", isAnother: true },
			{ after: "used", onDead: "an error", works: true, numUsed: 0 },
			{ after: "busy", code: "57P01", works: true, numUsed: 0 },
			{ after: "transaction", inTransaction: "an error", works: true, numUsed: 0 },
		]);
		expect(exitCode).to.equal(0);
	});

	for (const [whose, what] of [
		["OURS", "lives, when one is in use, of a pool given as connectionPool"],
		["PLAIN", "dies, when one is in use, of a pg Pool given to plain Knex as connectionPool"],
	] as const) {
		it(what, async () => {
			const url = new URL("fixtures/lost-in-pool.ts", import.meta.url);
			const { reports, exitCode, output } = await runProgram(url, { deadlineMillis: 9_000, args: [whose] });
			const values = reports.map((report) => "value" in report && report.value);
			if (whose === "OURS") {
				expect({ values, exitCode }, output).to.deep.equal({ values: [{ works: true }], exitCode: 0 });
			} else {
				expect({ values, exitCode }).to.deep.equal({ values: [], exitCode: 1 });
				expect(output).to.include("terminating connection due to administrator command");
			}
		});
	}
});
