import { afterFork, type ProcessChange } from "@forksafe/core";
import { afterThisTest } from "./after-this-test.ts";
import { FakeProcess } from "./fake-process.ts";

let lastPid = 4_000_000;

/** Until the end of the running test this process is, for the kernel, a forked child that nobody has told so. */
export function forkUnnoticed(): void {
	const fake = new FakeProcess();
	afterThisTest(async () => fake.restore());
	fake.fork(++lastPid, lastPid - 1);
}

/** The same, and it was told so by `afterFork()`. */
export function pretendFork(): ProcessChange {
	forkUnnoticed();
	return afterFork() as ProcessChange;
}
