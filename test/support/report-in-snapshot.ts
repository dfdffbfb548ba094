import { appendFileSync } from "node:fs";
import process from "node:process";

/** As `report()` of report.ts, for programs in a snapshot: that one loads native code, which cannot be in it. */
export function reportInSnapshot(value: unknown): void {
	const line = `${JSON.stringify({ process: "program", pid: process.pid, kind: "report", value })}\n`;
	const { FORKSAFE_REPORTS: path } = process.env;
	if (path === undefined) process.stdout.write(line);
	else appendFileSync(path, line);
}
