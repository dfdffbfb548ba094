/**
 * What a fork does to the connection pool of a Node application, and what it does to forksafe's.
 *
 * Exits with 0 only if every run over forksafe was perfect, or if this platform cannot fork Node, which is then said.
 */
import { reasonWithoutForks } from "../../test/support/posix-fork.ts";
import { nothingProven } from "./platforms.ts";

console.log(`forksafe demo: Node ${process.versions.node}, ${process.platform} ${process.arch}\n`);
const reason = reasonWithoutForks();
if (reason !== undefined) {
	console.log(nothingProven(reason));
} else {
	const { demonstrate } = await import("./demonstration.ts");
	process.exitCode = await demonstrate().catch(giveUp);
}

/** No fork is to blame for this: the server is not there, say. */
function giveUp(error: unknown): number {
	console.log(`FAILED: the demo could not be run: ${error instanceof Error ? error.message : String(error)}`);
	return 1;
}
