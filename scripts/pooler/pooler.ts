/**
 * The pools of many processes against few server connections: `pooler.ts [--seconds N] [--pools N] [--max N] [--servers N] [--short]`.
 * With PgBouncer and without, forksafe's pools and pg's. Exits with 1 when a query of forksafe's fails behind PgBouncer, or one
 * pool gets much less than another.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { startPgBouncer } from "../../test/support/pgbouncer.ts";
import { jain, quantile } from "../bench/statistics.ts";
import { commandLine, positiveNumber } from "../command-line.ts";
import { type Column, table } from "../demo/table.ts";
import type { PoolResult } from "./worker.ts";

const WORKERS = 4;
/** For pools to connect, and for who waits to be told. */
const GRACE_MILLIS = 60_000;
/** Jain's index. */
const FAIR = 0.9;

const values = commandLine({
	seconds: { type: "string" },
	pools: { type: "string", default: "200" },
	max: { type: "string", default: "2" },
	servers: { type: "string", default: "20" },
	short: { type: "boolean", default: false },
});
const pools = positiveNumber("pools", values.pools);
const max = positiveNumber("max", values.max);
const servers = positiveNumber("servers", values.servers);
const seconds = positiveNumber("seconds", values.seconds ?? (values.short ? 4 : 15));
console.log(
	`forksafe pooler: ${pools} pools of ${max} in ${WORKERS} processes, ${servers} server connections, ${seconds} s each, ` +
		`Node ${process.versions.node}, ${availableParallelism()} cores`,
);

// Without PgBouncer there are as many, and the three that PostgreSQL keeps for superusers, who these pools are.
const server = await startEmbeddedServer({ maxConnections: servers + 5, tls: false, unixSocket: false });
const complaints: string[] = [];
const columns: Column[] = [
	{ title: "pools", align: "left" },
	{ title: "over", align: "left" },
	...["answers", "errors", "p50 ms", "p99 ms", "longest ms", "Jain's index"].map((title) => ({ title })),
];
const rows: string[][] = [];
const reasons = new Set<string>();
try {
	const cases: [subject: "forksafe" | "pg", over: "PgBouncer" | "nothing"][] = [
		["pg", "PgBouncer"],
		["forksafe", "PgBouncer"],
	];
	if (!values.short) cases.push(["pg", "nothing"], ["forksafe", "nothing"]);
	for (const [subject, over] of cases) {
		const results = over === "nothing" ? await run(subject, server.url) : await behindPgBouncer(subject);
		const latencies = results.flatMap((result) => result.latencies);
		const errors = results.flatMap((result) => Object.entries(result.errors));
		const failed = errors.reduce((sum, [, count]) => sum + count, 0);
		for (const [message] of errors) reasons.add(`${subject} over ${over}: ${message}`);
		const fairness = jain(results.map((result) => result.latencies.length));
		const [p50, p99, longest] = [0.5, 0.99, 1].map((fraction) => quantile(latencies, fraction).toFixed(0));
		rows.push([
			subject,
			over,
			String(latencies.length),
			String(failed),
			p50 ?? "",
			p99 ?? "",
			longest ?? "",
			fairness.toFixed(3),
		]);
		if (subject !== "forksafe" || over !== "PgBouncer") continue;
		if (failed > 0) complaints.push(`${failed} queries failed`);
		if (!(fairness >= FAIR)) complaints.push(`Jain's index is ${fairness.toFixed(3)}, below ${FAIR}`);
	}
} finally {
	await server.stop();
}
console.log(table(columns, rows));
for (const reason of reasons) console.log(`error: ${reason}`);
for (const complaint of complaints) console.log(`NOT RIGHT: forksafe behind PgBouncer: ${complaint}`);
process.exitCode = complaints.length === 0 ? 0 : 1;

/** One of its own: the first to come would wait for its server connections, and the next one not. */
async function behindPgBouncer(subject: string): Promise<PoolResult[]> {
	const bouncer = await startPgBouncer(server.url, { default_pool_size: servers, max_client_conn: pools * max + 10 });
	try {
		return await run(subject, bouncer.url);
	} finally {
		await bouncer.stop();
	}
}

async function run(subject: string, url: string): Promise<PoolResult[]> {
	const share = Math.ceil(pools / WORKERS);
	const args = [subject, url, String(share), String(max), String(seconds * 1_000)];
	const worker = async (): Promise<PoolResult[]> => {
		const child = fork(new URL("./worker.ts", import.meta.url), args, { execArgv: ["--conditions=@forksafe/source"] });
		const signal = AbortSignal.timeout(seconds * 1_000 + GRACE_MILLIS);
		try {
			const [results] = (await once(child, "message", { signal })) as [PoolResult[]];
			return results;
		} finally {
			child.kill("SIGKILL");
		}
	};
	return (await Promise.all(Array.from({ length: WORKERS }, worker))).flat();
}
