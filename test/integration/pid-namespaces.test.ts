/**
 * A parent that is the first process of its PID namespace, as in a container, and a child that is the first of its own: both
 * have the pid 1 and the ppid 0. Pools in the same place: test/scenarios/hard-forks.ts.
 */
import { expect } from "chai";
import { reasonWithoutNamespaces } from "../support/kernel-calls.ts";
import { runProgram } from "../support/program.ts";
import { needsForks, skipWithReason } from "../support/skip.ts";

const program = new URL("../programs/pid-one.ts", import.meta.url);

describe("a child that has the pid and the ppid of its parent", () => {
	before(needsForks);
	before(function () {
		const reason = reasonWithoutNamespaces();
		if (reason !== undefined) skipWithReason(this, reason);
	});

	for (const procOfParent of [true, false]) {
		for (const procOfChild of [true, false]) {
			for (const hasSentinel of [false, true]) {
				const procs = `parent ${procOfParent ? "with" : "without"} a /proc of its own, child ${procOfChild ? "with" : "without"}`;
				const [first, then] = hasSentinel ? ["at the first touch", 0] : ["by afterFork(), as by the next tick", 1];
				it(`is noticed ${first}: ${procs}${hasSentinel ? ", with the sentinel" : ""}`, async () => {
					const { reports, output } = await runProgram(program, {
						deadlineMillis: 20_000,
						args: [String(procOfChild)],
						within: ["unshare", "--pid", "--fork", "--kill-child", ...(procOfParent ? ["--mount-proc"] : [])],
						nodeArgs: hasSentinel ? ["--import", import.meta.resolve("@forksafe/sentinel")] : [],
					});
					const [said] = reports.filter(({ process, kind }) => process === "program" && kind === "report");
					expect(said, output).to.have.deep.property("value", {
						parent: { pid: 1, ppid: 0 },
						child: { pid: 1, ppid: 0, byFirstTouch: hasSentinel ? 1 : 0, byAfterFork: then },
						generation: 0,
					});
				});
			}
		}
	}
});
