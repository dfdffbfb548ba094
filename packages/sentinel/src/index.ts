/**
 * `import "@forksafe/sentinel"` lets core notice a fork by a read from memory instead of a system call, and every fork: one into a
 * PID namespace of its own too, where parent and child have the same pid. Where it cannot be had, a process warning
 * (FORKSAFE_SENTINEL) says so once, and core goes on as before.
 */
import process from "node:process";
import { isBuildingSnapshot, useForkDetector } from "@forksafe/core";
import { mapWipedPage } from "./wiped-page.ts";

/** Why there is no sentinel in this process; undefined where there is one. */
export const unavailableBecause: string | undefined = install();

function install(): string | undefined {
	try {
		if (isBuildingSnapshot()) throw new Error("a start-up snapshot is being built, and mapped memory cannot be in it");
		const page = mapWipedPage();
		useForkDetector({ isCopy: page.isWiped, reset: page.mark });
		return undefined;
	} catch (error) {
		const reason = (error as Error).message;
		process.emitWarning(`@forksafe/sentinel is not used: ${reason}. Forks are noticed by process.ppid.`, {
			type: "ForkSafeWarning",
			code: "FORKSAFE_SENTINEL",
		});
		return reason;
	}
}
