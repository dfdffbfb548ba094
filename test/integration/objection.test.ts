import { randomUUID } from "node:crypto";
import { expect } from "chai";
import { type ProgramResult, runProgram } from "../support/program.ts";
import { needsForks } from "../support/skip.ts";

const REFUSED = "InheritedConnectionError ERR_FORKSAFE_INHERITED";

const program = new URL("../programs/objection.ts", import.meta.url);
const runs = ["3.3", "3.1"].flatMap((version) =>
	["HOOK", ""].map((hook) => ({ version, hook, result: Promise.withResolvers<ProgramResult>() })),
);

describe("Objection.js over @forksafe/knex, forked while a transaction is open", function () {
	this.timeout(60_000);
	before(needsForks);
	before("start the programs", () => {
		for (const { version, hook, result } of runs) {
			const args = [`objection_${randomUUID().replaceAll("-", "")}`, version, ...(hook ? [hook] : [])];
			runProgram(program, { deadlineMillis: 50_000, args }).then(result.resolve, result.reject);
		}
	});

	for (const { version, hook, result } of runs) {
		it(`reads, inserts and transacts in parent and child, and the parent alone commits what was open or in flight: Knex ${version}, ${hook === "HOOK" ? "with" : "without"} afterFork()`, async () => {
			const { reports, output } = await result.promise;
			const own = reports.find(({ process, kind }) => process === "program" && kind === "report");
			const written = ["child", "parent"].flatMap((who) =>
				Array.from({ length: 15 }, (_, round) => `${who} ${round}: committed: inserted`),
			);
			expect(own, output).to.have.deep.property("value", {
				child: { refused: Array(4).fill(REFUSED), inFlight: REFUSED, wrong: [], isOwn: true },
				parent: { inFlight: "committed", wrong: [], isSame: true },
				written: [...written, "in flight", "in the open transaction: before the fork"].sort(),
			});
		});
	}
});
