import type { Context } from "mocha";
import { reasonWithoutForks } from "./posix-fork.ts";

/** For a `before` hook: nothing is skipped without a word. */
export function skipWithReason(test: Context, reason: string): never {
	console.log(`    skipped: ${reason}`);
	return test.skip();
}

/** For a `before` hook: skips tests that need real forks where there are none. */
export function needsForks(this: Context): void {
	const reason = reasonWithoutForks();
	if (reason !== undefined) skipWithReason(this, reason);
}
