/**
 * Ten minutes of ordinary life: `false-alarms.ts [--seconds N]`. Parents die, clocks step, the process is stopped and starved, and
 * starts others, while pools of ours work. Exits with 1 when a generation ended, a healthy connection was discarded, destroyed or
 * replaced, or a query failed. Two processes live it side by side: one with the sentinel, one without.
 *
 * This process has the servers, and does to the others what they cannot do to themselves.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { startLineServer } from "../../test/support/line-server.ts";
import { reasonWithoutForks } from "../../test/support/posix-fork.ts";
import { runProgram } from "../../test/support/program.ts";
import { withOwnWallClock } from "../../test/support/wall-clock.ts";
import { commandLine, positiveNumber } from "../command-line.ts";
import { table } from "../demo/table.ts";
import { events } from "./events.ts";
import type { Line } from "./life.ts";
import type { Counts } from "./watched-pool.ts";

const DEFAULT_SECONDS = 600;
/** For what has begun to end, and for each event to have happened twice on a slow machine. */
const GRACE_MILLIS = 120_000;
/** One death every so many seconds, evenly over the time. */
const SECONDS_PER_PARENT = 30;

const values = commandLine({ seconds: { type: "string", default: String(DEFAULT_SECONDS) } });
const seconds = positiveNumber("seconds", values.seconds);
const reason = reasonWithoutForks();
if (reason !== undefined) {
	console.log(`forksafe false alarms: skipped, ${reason}`);
	process.exit();
}

const directory = mkdtempSync(join(tmpdir(), "forksafe-life-"));
const server = await startEmbeddedServer({ maxConnections: 100, tls: false, unixSocket: false });
const lines = await startLineServer();
const columns = ["times", "answers", "failed", "destroyed", "discarded", "changes", "lost"] as const;
const complaints: string[] = [];
const totals = new Map(events.map(({ name }) => [name, { times: 0, ...zero() }]));

try {
	const lives = [
		{ name: "without the sentinel", imports: [] },
		{ name: "with the sentinel", imports: [import.meta.resolve("@forksafe/sentinel")] },
	];
	console.log(`forksafe false alarms: ${seconds} s of ordinary life, Node ${process.versions.node}`);
	await Promise.all(lives.map(({ name, imports }, n) => live(name, join(directory, String(n)), imports)));
} finally {
	await Promise.all([lines.stop(), server.stop()]);
	rmSync(directory, { recursive: true, force: true });
}

const rows = [...totals].map(([name, row]) => [name, ...columns.map((column) => String(row[column]))]);
console.log(table([{ title: "event", align: "left" }, ...columns.map((title) => ({ title }))], rows));
for (const [name, { times, failed, destroyed, discarded, changes, lost }] of totals) {
	if (times === 0) console.log(`${name}: not possible here`);
	if (failed + destroyed + discarded + changes + lost > 0) complaints.push(`${name}: harm was done`);
}
for (const complaint of complaints.slice(0, 20)) console.log(`NOT RIGHT: ${complaint}`);
console.log(complaints.length === 0 ? "an ordinary life, and no false alarm" : `failed: ${complaints.length} complaints`);
process.exitCode = complaints.length === 0 ? 0 : 1;

async function live(name: string, place: string, imports: readonly string[]): Promise<void> {
	mkdirSync(place);
	const clockFile = join(place, "clock");
	const clock = await withOwnWallClock(clockFile);
	const parents = Math.max(2, Math.ceil(seconds / SECONDS_PER_PARENT));
	const { output, timedOut, reports } = await runProgram(new URL("life.ts", import.meta.url), {
		deadlineMillis: seconds * 1_000 + GRACE_MILLIS,
		nodeArgs: ["--expose-gc", ...imports.flatMap((module) => ["--import", module])],
		args: [String(seconds), String(parents), place, server.url, lines.url, ...(clock ? [clockFile] : [])],
		...(clock !== undefined && { env: clock }),
		onReport: (report) => {
			if (report.kind === "report") hear(name, place, report.pid, report.value as Line);
		},
	});
	const isOver = reports.some((line) => line.kind === "report" && (line.value as Line).isOver);
	if (!isOver) complaints.push(`${name}: it did not live to its end${timedOut ? ", in time" : ""}: ${output}`);
}

function hear(name: string, place: string, pid: number, { please, complaint, happened }: Line): void {
	if (complaint !== undefined) complaints.push(`${name}: ${complaint}`);
	if (happened !== undefined) {
		const total = totals.get(happened.event);
		if (total === undefined) return;
		total.times++;
		for (const column of columns) if (column !== "times") total[column] += happened[column];
	}
	if (please === undefined) return;
	void grant(pid, please).finally(() => writeFileSync(join(place, `done-${please.serial}`), ""));
}

async function grant(pid: number, please: NonNullable<Line["please"]>): Promise<void> {
	switch (please.kind) {
		case "stop":
			process.kill(pid, "SIGSTOP");
			await delay(please.millis);
			process.kill(pid, "SIGCONT");
			break;
		case "starve": {
			const busy = Array.from({ length: 4 * availableParallelism() }, () =>
				spawn("sh", ["-c", "ulimit -t 10; while :; do :; done"]),
			);
			await delay(please.millis);
			for (const one of busy) one.kill("SIGKILL");
			break;
		}
		case "end the parent":
			process.kill(please.parent, "SIGTERM");
			break;
	}
}

function zero(): Counts {
	return { answers: 0, failed: 0, destroyed: 0, discarded: 0, changes: 0, lost: 0 };
}
