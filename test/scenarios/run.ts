import { randomUUID } from "node:crypto";
import type { Face } from "../faces/face.ts";
import { createTraces } from "../faces/mariadb-view.ts";
import { startLineServer } from "../support/line-server.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { type ProgramResult, runProgram } from "../support/program.ts";
import { mariadbUrl, postgresUrl, type Route, type Transport } from "../support/server-urls.ts";

const program = new URL("program.ts", import.meta.url);

/** What the program says of one scenario. */
export interface Verdict {
	readonly scenario: string;
	readonly hook: boolean;
	readonly millis: number;
	/** Why it failed. */
	readonly error?: string;
}

/** Which scenarios to run, and for how long at most. */
export interface RunOptions {
	readonly transport: Route;
	readonly deadlineMillis: number;
	/** One scenario only. @default all */
	readonly scenario?: string;
	/** With or without `afterFork()`, where the scenario can be both. @default both in turn */
	readonly hook?: boolean | undefined;
	readonly onVerdict?: (verdict: Verdict) => void;
	/** Modules that the process imports first. */
	readonly imports?: readonly string[];
}

export interface RunResult extends ProgramResult {
	readonly verdicts: readonly Verdict[];
}

/** Runs the scenarios of a face in a process of their own, which may be forked. */
export async function runScenarios(face: Face, options: RunOptions): Promise<RunResult> {
	const { transport } = options;
	if (transport === "PgBouncer") {
		const bouncer = await startPgBouncer(needed(postgresUrl("TCP")));
		try {
			return await runOver(face, ownName(bouncer.url), options);
		} finally {
			await bouncer.stop();
		}
	}
	if (face.library === "knex-mysql" || face.library === "kysely-mysql") {
		return runOver(face, await createTraces(mariadbUrl(transport), `run-${randomUUID()}`), options);
	}
	if (face.library !== "core") return runOver(face, ownName(postgresUrl(transport)), options);
	const server = await startLineServer();
	const urls: Record<Transport, string> = { TCP: server.url, "a unix socket": server.unixSocketUrl, TLS: server.tlsUrl };
	try {
		return await runOver(face, urls[transport], options);
	} finally {
		await server.stop();
	}
}

async function runOver(
	face: Face,
	url: string,
	{ transport, deadlineMillis, scenario = "", hook, onVerdict, imports = [] }: RunOptions,
): Promise<RunResult> {
	const verdicts: Verdict[] = [];
	const result = await runProgram(program, {
		deadlineMillis,
		args: [face.name, url, transport, scenario, String(hook ?? "")],
		nodeArgs: ["--expose-gc", ...imports.flatMap((name) => ["--import", import.meta.resolve(name)])],
		onReport: (report) => {
			if (report.kind !== "report" || report.process !== "program") return;
			const verdict = report.value as Verdict;
			verdicts.push(verdict);
			onVerdict?.(verdict);
		},
	});
	return { ...result, verdicts };
}

/** By this name the server tells the sessions of one program from those of the others. */
function ownName(given: string | undefined): string {
	const url = needed(given);
	return `${url}${url.includes("?") ? "&" : "?"}application_name=${randomUUID()}`;
}

function needed(url: string | undefined): string {
	if (url === undefined) throw new Error("the server does not offer this transport");
	return url;
}
