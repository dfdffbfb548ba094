import { expect } from "chai";
import { runProgram } from "../support/program.ts";
import { needsForks } from "../support/skip.ts";

describe("core that is first loaded in a forked child, where process.pid names the parent", () => {
	before(needsForks);

	it("takes that child for itself, and sees when it is forked in its turn", async () => {
		const { reports, output } = await runProgram(new URL("../programs/late-load.ts", import.meta.url), {
			deadlineMillis: 20_000,
		});
		const own = reports.find(({ process }) => process === "program");
		const value = own?.kind === "report" ? own.value : own;
		expect(value, output).to.have.property("here").that.deep.equals({
			isStale: true,
			change: "none",
			generation: 0,
			isSame: true,
		});
		const { there, pid } = value as { there: { pid: number }; pid: number };
		expect(there).to.deep.equal({
			isOwn: true,
			changes: [{ cause: "fork", previousPid: pid, pid: there.pid }],
			pid: there.pid,
		});
		expect(there.pid).not.to.equal(pid);
	});
});
