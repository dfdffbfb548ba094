/** Every pool of a process is suspended; the process is stopped and the server restarted meanwhile; the pools are resumed. */
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import pg from "pg";
import { type EmbeddedServer, startEmbeddedServer } from "../support/embedded-server.ts";
import { runProgram } from "../support/program.ts";

const program = new URL("../programs/suspended.ts", import.meta.url);
/** More than the time that an acquire of the program may take: so long it runs on, and so long it is stopped. */
const pauseMillis = 2_500;

async function countSessions(url: string): Promise<number> {
	const client = new pg.Client(url);
	await client.connect();
	const { rows } = await client.query<{ count: number }>(
		"select count(*)::int from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
	);
	await client.end();
	return rows[0]?.count ?? -1;
}

/** The process runs on, is stopped while the server is restarted, goes on, and is told to resume. */
async function passTime(pid: number, server: EmbeddedServer): Promise<void> {
	await delay(pauseMillis);
	process.kill(pid, "SIGSTOP");
	await server.halt();
	await server.resume();
	await delay(pauseMillis);
	process.kill(pid, "SIGCONT");
	process.kill(pid, "SIGUSR2");
}

describe("a process whose pools are suspended", () => {
	let server: EmbeddedServer;

	before(async function () {
		if (process.platform === "win32") {
			console.log("    skipped: Windows has no SIGSTOP");
			this.skip();
		}
		server = await startEmbeddedServer({ maxConnections: 50, tls: false, unixSocket: false });
	});

	after(() => server?.stop());

	it("has no session, and goes on where it was, also when it was stopped and the server restarted meanwhile", async () => {
		let whileSuspended: Promise<number> | undefined;
		const { reports, output, exitCode } = await runProgram(program, {
			deadlineMillis: 30_000,
			env: { DATABASE_URL: server.url },
			onReport: ({ pid, ...line }) => {
				if (line.kind !== "report" || line.value !== "suspended") return;
				whileSuspended = countSessions(server.url).finally(() => void passTime(pid, server));
			},
		});
		expect(await whileSuspended, "sessions while suspended").to.equal(0);
		const values = reports.map((line) => (line.kind === "report" ? line.value : line));
		expect(values, output).to.deep.equal([
			"suspended",
			...["pg", "Knex", "Kysely"].map((name) => ({ name, underWay: "COMMIT", meanwhile: "meanwhile", after: "after" })),
		]);
		expect(exitCode, output).to.equal(0);
	});
});
