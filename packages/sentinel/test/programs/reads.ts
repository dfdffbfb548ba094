/** Counts how often `process.ppid` is read by a thousand looks at the process: `reads.ts SENTINEL`. */
import process from "node:process";
import { report } from "../../../../test/support/report.ts";

let reads = 0;
const { ppid } = process;
Object.defineProperty(process, "ppid", {
	get: () => {
		reads++;
		return ppid;
	},
	configurable: true,
	enumerable: true,
});
const { currentGeneration } = await import("@forksafe/core");
if (process.argv[2] === "true") await import("../../src/index.ts");
reads = 0;
for (let i = 0; i < 1_000; i++) currentGeneration();
report(reads);
