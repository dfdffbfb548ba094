/**
 * Mixed traffic, faults and real forks for as long as one likes, through every face: `soak.ts [--seconds N] [--seed N] [--face NAME]`.
 * Exits with 1 when an answer is wrong, a statement ran twice, something hangs, or heap, descriptors, timers or listeners grow.
 *
 * This process has the server and the network, and causes the faults that the program under test asks for.
 */

import { faces } from "../../test/faces/index.ts";
import { ask, TRACES } from "../../test/faces/postgres-view.ts";
import { ChaosProxy } from "../../test/support/chaos-proxy.ts";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { runProgram } from "../../test/support/program.ts";
import { commandLine, positiveNumber } from "../command-line.ts";
import { growth, type Sample } from "./sample.ts";
import type { Line, Request } from "./soaked.ts";

const DEFAULT_SECONDS = 300;
/** For the last cycle to end, and for a program that hangs to be found out. */
const GRACE_MILLIS = 60_000;

const values = commandLine({
	seconds: { type: "string", default: String(DEFAULT_SECONDS) },
	seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
	face: { type: "string", multiple: true, default: ["pg Pool", "Knex", "Kysely"] },
});
const seconds = positiveNumber("seconds", values.seconds);
for (const name of values.face) {
	if (!faces.some((face) => face.name === name && face.library !== "core")) throw new Error(`--face ${name}: there is none`);
}
console.log(`forksafe soak: ${seconds} s, seed ${values.seed}, Node ${process.versions.node}, through ${values.face.join(", ")}`);

const server = await startEmbeddedServer({ maxConnections: 100, tls: false, unixSocket: false });
const target = new URL(server.url);
const proxy = await new ChaosProxy({ host: target.hostname, port: Number(target.port) }).start();
const samples: Sample[] = [];
const complaints: string[] = [];
const acknowledged: string[] = [];
let forks = 0;
let answers = 0;
let faults = 0;

try {
	await ask(server.url, TRACES);
	const program = await runProgram(new URL("program.ts", import.meta.url), {
		deadlineMillis: seconds * 1_000 + GRACE_MILLIS,
		nodeArgs: ["--expose-gc"],
		args: [proxy.urlOf(server.url), values.seconds, values.seed, ...values.face],
		onReport: (report) => {
			if (report.kind === "report") hear(report.value as Line);
		},
	});
	if (program.timedOut) complaints.push("the program did not end in time");
	if (program.exitCode !== 0) complaints.push(`the program ended with ${program.exitCode ?? program.signal}: ${program.output}`);
	complaints.push(...growth(samples), ...(await wrongTraces()));
} finally {
	await proxy.stop();
	await server.stop();
}

const [first, last] = [samples[0], samples.at(-1)];
if (first !== undefined && last !== undefined) {
	for (const name of Object.keys(first) as (keyof Sample)[]) console.log(`${name.padEnd(12)} ${first[name]} -> ${last[name]}`);
}
console.log(`${answers} answers, ${acknowledged.length} inserts, ${faults} faults, ${forks} forks, ${samples.length} samples`);
for (const complaint of complaints) console.log(`NOT RIGHT: ${complaint}`);
console.log(complaints.length === 0 ? "soaked, and nothing grew" : `failed; the seed was ${values.seed}`);
process.exitCode = complaints.length === 0 ? 0 : 1;

function hear(line: Line): void {
	if (line.please !== undefined) {
		faults++;
		void cause(line.please);
	}
	if (line.complaint !== undefined) complaints.push(line.complaint);
	if (line.sample === undefined) return;
	samples.push(line.sample);
	acknowledged.push(...(line.acknowledged ?? []));
	answers = line.answers ?? answers;
	forks = line.forks ?? forks;
	const { heapMiB, descriptors, resources, listeners } = line.sample;
	console.log(
		`${answers} answers, ${faults} faults, ${forks} forks: ${heapMiB} MiB, ${descriptors} fds, ${resources} timers and sockets, ${listeners} listeners`,
	);
}

async function cause(request: Request): Promise<void> {
	switch (request) {
		case "terminate sessions":
			await ask(
				server.url,
				"select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
			);
			break;
		case "cut":
			proxy.cut();
			break;
		case "reset":
			proxy.reset();
			break;
		case "stall":
			proxy.stall();
			setTimeout(() => proxy.resume(), 300).unref();
			break;
		case "restart the server":
			await server.halt();
			await server.resume();
			break;
	}
}

/** What was acknowledged is there, and nothing is there twice. */
async function wrongTraces(): Promise<string[]> {
	const rows = await ask<{ key: string; n: number }>(server.url, "select key, count(*)::int as n from traces group by key");
	const found = new Map(rows.map(({ key, n }) => [key, n]));
	const twice = rows.filter(({ n }) => n > 1).map(({ key, n }) => `${key} was inserted ${n} times`);
	const lost = acknowledged.filter((key) => !found.has(key)).map((key) => `${key} was acknowledged, and is not there`);
	return [...twice, ...lost];
}
