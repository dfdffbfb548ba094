/** Loads core in a child only, where `process.pid` is its parent's from the start: what it sees there, and in a child of that one. */
import process from "node:process";
import { forkChild } from "../support/fork.ts";
import { getpid } from "../support/posix-fork.ts";
import { report } from "../support/report.ts";

const child = await forkChild("loads it", async () => {
	const { afterFork, currentGeneration, onProcessChange, Pool } = await import("@forksafe/core");
	const pool = new Pool({ connect: () => ({ openedBy: getpid() }), isAlive: () => true, destroy: () => {}, discard: () => {} });
	const first = await pool.acquire();
	pool.release(first);
	pool.maintain();
	const here = {
		isStale: process.pid !== getpid(),
		change: afterFork() ?? "none",
		generation: currentGeneration(),
		isSame: (await pool.acquire()) === first,
	};
	const grandchild = await forkChild("is forked from it", async () => {
		const changes: unknown[] = [];
		onProcessChange(({ cause, previousPid, pid }) => changes.push({ cause, previousPid, pid }));
		const { openedBy } = await pool.acquire();
		return { isOwn: openedBy === getpid(), changes, pid: getpid() };
	});
	return { here, there: await grandchild.result, pid: getpid() };
});
report(await child.result);
