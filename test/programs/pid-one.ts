/**
 * `pid-one.ts HAS_OWN_PROC`: run as the first process of a PID namespace, it forks a child that is the first of another one, with a
 * /proc of its own or with that of its parent. Reports what the child looks like, and what notices that it is one.
 */
import process from "node:process";
import { afterFork, currentGeneration } from "@forksafe/core";
import { forkChild } from "../support/fork.ts";
import { mountOwnProc } from "../support/kernel-calls.ts";
import { getpid } from "../support/posix-fork.ts";
import { report } from "../support/report.ts";

const hasOwnProc = process.argv[2] === "true";
const look = (): unknown => ({ pid: getpid(), ppid: process.ppid });
const parent = look();
const child = await forkChild(
	"child",
	() => {
		if (hasOwnProc) mountOwnProc();
		return { ...(look() as object), byFirstTouch: currentGeneration(), byAfterFork: afterFork()?.generation ?? 0 };
	},
	{ newPidNamespace: true },
);
report({ parent, child: await child.result, generation: currentGeneration() });
