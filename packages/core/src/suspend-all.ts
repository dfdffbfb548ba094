import { checkSuspendOptions } from "./options.ts";
import { connectionHolders, type SuspendOptions } from "./process-registry.ts";

/**
 * Suspends every pool of this process (`pool.suspend()`), whichever package has made it: for a checkpoint, a function that is
 * frozen between two requests, or a shutdown. Resolves when none of them has a connection any more. Pools that are created
 * later are open, and clients that belong to no pool are not touched.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION); ResumedError (ERR_FORKSAFE_RESUMED) when one was resumed before its last
 * connection had gone
 * @example
 * ```ts
 * process.once("SIGTERM", async () => {
 * 	await suspendAll({ deadlineMillis: 1_000, acquires: "reject" });
 * 	process.exit();
 * });
 * ```
 */
export async function suspendAll(options: SuspendOptions = {}): Promise<void> {
	checkSuspendOptions(options);
	await Promise.all(connectionHolders().map(async (holder) => holder.suspend?.(options)));
}

/** Opens every pool of this process that is suspended (`pool.resume()`). They connect when they are asked for a connection. */
export function resumeAll(): void {
	for (const holder of connectionHolders()) holder.resume?.();
}
