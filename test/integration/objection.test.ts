import { randomUUID } from "node:crypto";
import { expect } from "chai";
import { runProgram } from "../support/program.ts";
import { needsForks } from "../support/skip.ts";

const REFUSED = "InheritedConnectionError ERR_FORKSAFE_INHERITED";

describe("Objection.js over @forksafe/knex, forked while a transaction is open", () => {
	before(needsForks);

	for (const [title, hook] of [
		["with afterFork()", ["HOOK"]],
		["without afterFork()", []],
	] as const) {
		it(`reads, inserts and transacts in parent and child, and the parent alone commits what was open or in flight: ${title}`, async () => {
			const { reports, output } = await runProgram(new URL("../programs/objection.ts", import.meta.url), {
				deadlineMillis: 30_000,
				args: [`objection_${randomUUID().replaceAll("-", "")}`, ...hook],
			});
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
