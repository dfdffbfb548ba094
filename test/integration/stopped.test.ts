/** A process that is stopped for longer than its deadlines (SIGSTOP: a frozen container, a suspended machine) and goes on. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { ask } from "../faces/postgres-view.ts";
import { type EmbeddedServer, startEmbeddedServer } from "../support/embedded-server.ts";
import { runProgram } from "../support/program.ts";
import { skipWithReason } from "../support/skip.ts";
import { untilTrue } from "../support/until-true.ts";
import { setWallClock, withOwnWallClock } from "../support/wall-clock.ts";

const program = new URL("../programs/stopped.ts", import.meta.url);
const libraries = ["pg", "Knex", "Kysely"] as const;
type Library = (typeof libraries)[number];
const timeOuts: Record<Library, string> = {
	pg: "timeout exceeded when trying to connect",
	Knex: "Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?",
	Kysely: "timeout exceeded when trying to connect",
};
const HOUR_SECONDS = 3_600;
/** More than an acquire of the program may take. */
const STOP_MILLIS = 1_500;

interface Stop {
	readonly use: "waiting" | "waiting-in-vain" | "idle";
	readonly env?: Record<string, string>;
	/** What happens to the rest of the world meanwhile. */
	readonly meanwhile?: () => Promise<unknown>;
}

/** What became of those who use the pool, after a stop in the middle. */
async function afterStop(library: Library, whose: "OURS" | "PLAIN", stop: Stop): Promise<unknown> {
	const { use, env = {}, meanwhile = async () => {} } = stop;
	let stopped: Promise<unknown> | undefined;
	const { reports, output } = await runProgram(program, {
		deadlineMillis: 40_000,
		args: [library, whose, use],
		env,
		onReport: (line) => {
			if (line.kind !== "report" || line.value !== "ready") return;
			stopped = untilTrue(() => isStopped(line.pid), { what: "it has stopped", deadlineMillis: 20_000 })
				.then(() => Promise.all([delay(STOP_MILLIS), meanwhile()]))
				.finally(() => process.kill(line.pid, "SIGCONT"));
			stopped.catch(() => {}); // awaited below
		},
	});
	await stopped;
	// pg-pool does not listen to a client that is in use: its error ends the process.
	if (whose === "PLAIN" && output.includes("Unhandled 'error' event")) return ["the process crashed"];
	expect(reports, output).to.have.lengthOf(2);
	const [, last] = reports;
	return last?.kind === "report" ? last.value : last;
}

/** Its state is "T". Where there is no /proc, it has had the time of its report for it. */
function isStopped(pid: number): boolean {
	const stat = `/proc/${pid}/stat`;
	return !existsSync(stat) || / T /.test(readFileSync(stat, "utf8"));
}

type Outcomes = Partial<Record<"OURS" | "PLAIN", unknown>>;

/** The same through every library, ours and plain, at once: the rest of the world goes on when all of them are stopped. */
async function afterStops(
	whose: readonly ("OURS" | "PLAIN")[],
	{ meanwhile = async () => {}, ...stop }: Stop,
): Promise<Outcomes> {
	let stopped = 0;
	let happened: Promise<unknown> | undefined;
	const together = async (): Promise<void> => {
		stopped++;
		const all = whose.length * libraries.length;
		await untilTrue(() => stopped === all, { what: "all processes are stopped", deadlineMillis: 20_000 });
		happened ??= meanwhile();
		await happened;
	};
	const outcomes = whose.map(async (pools) => {
		const ofPools = libraries.map(async (library) => [
			library,
			await afterStop(library, pools, { ...stop, meanwhile: together }),
		]);
		return [pools, Object.fromEntries(await Promise.all(ofPools))];
	});
	return Object.fromEntries(await Promise.all(outcomes));
}

function ofAll(what: (library: Library) => unknown): unknown {
	return Object.fromEntries(libraries.map((library) => [library, what(library)]));
}

before("a process can be stopped", function () {
	if (process.platform === "win32") skipWithReason(this, "Windows has no SIGSTOP");
});

describe("who waits for a connection while the process is stopped", () => {
	it("is served when the process goes on, and times out without forksafe", async () => {
		expect(await afterStops(["OURS", "PLAIN"], { use: "waiting" })).to.deep.equal({
			OURS: ofAll(() => "served"),
			PLAIN: ofAll((library) => timeOuts[library]),
		});
	});

	it("times out all the same when no connection becomes free in its time", async () => {
		const expected = ofAll((library) => `${timeOuts[library]}, in time`);
		expect(await afterStops(["OURS"], { use: "waiting-in-vain" })).to.deep.equal({ OURS: expected });
	});
});

describe("who asks first when a stopped process goes on", () => {
	let server: EmbeddedServer;
	let directory: string;
	let clock: Record<string, string> | undefined;

	before(async () => {
		directory = mkdtempSync(join(tmpdir(), "forksafe-clock-"));
		clock = await withOwnWallClock(join(directory, "clock"));
		server = await startEmbeddedServer({ maxConnections: 50, tls: false, unixSocket: false });
	});

	after(async () => {
		await server.stop();
		rmSync(directory, { recursive: true });
	});

	const terminate = async (): Promise<void> => {
		const ended = await ask(
			server.url,
			"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stopped'",
		);
		expect(ended.length, "sessions that were ended").to.be.at.least(3 * libraries.length);
	};
	const restart = async (): Promise<void> => {
		await server.halt();
		await server.resume();
	};
	const failures = async (whose: ("OURS" | "PLAIN")[], meanwhile: () => Promise<unknown>, env = {}): Promise<Outcomes> =>
		afterStops(whose, { use: "idle", env: { DATABASE_URL: server.url, ...env }, meanwhile });

	for (const [what, meanwhile] of [
		["all its sessions were ended", terminate],
		["the server was restarted", restart],
	] as const) {
		it(`is answered though ${what}, which fails without forksafe`, async () => {
			const { OURS, PLAIN } = await failures(["OURS", "PLAIN"], meanwhile);
			expect(OURS).to.deep.equal(ofAll(() => []));
			const said = PLAIN as Record<Library, string[]>;
			for (const library of libraries) expect(said[library], library).to.have.property("length").above(0);
		});
	}

	for (const seconds of [HOUR_SECONDS, -HOUR_SECONDS]) {
		it(`is answered though all its sessions were ended and the clock was set an hour ${seconds > 0 ? "forward" : "back"}`, async function () {
			if (clock === undefined) skipWithReason(this, "there is no libfaketime, which sets the clock of a process");
			setWallClock(join(directory, "clock"), 0);
			const meanwhile = async (): Promise<void> => {
				await terminate();
				setWallClock(join(directory, "clock"), seconds);
			};
			expect(await failures(["OURS"], meanwhile, clock)).to.deep.equal({ OURS: ofAll(() => []) });
		});
	}
});
