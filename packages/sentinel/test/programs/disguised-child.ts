/**
 * Forks a child that looks to Node exactly like its parent, as one in a PID namespace of its own can: the same pid, the same parent.
 * `disguised-child.ts SENTINEL`. Reports what the child and its own child have noticed.
 */
import process from "node:process";
import { currentGeneration, lastProcessChange } from "@forksafe/core";
import { FakeProcess } from "../../../../test/support/fake-process.ts";
import { forkChild } from "../../../../test/support/fork.ts";
import { getpid } from "../../../../test/support/posix-fork.ts";
import { report } from "../../../../test/support/report.ts";

if (process.argv[2] === "true") await import("../../src/index.ts");
const [pid, parentPid] = [getpid(), process.ppid];
const fake = new FakeProcess();
fake.setPid(pid);
fake.setParent(parentPid);
const noticed = (): unknown => ({ generation: currentGeneration(), cause: lastProcessChange()?.cause ?? null });

const child = await forkChild("child", async () => {
	const own = [noticed(), noticed()];
	const grandchild = await forkChild("grandchild", async () => noticed());
	return [...own, await grandchild.result];
});
report({ inChildren: await child.result, inParent: noticed() });
