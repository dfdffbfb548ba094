/** Start-up snapshots, and single executables with one, of an application whose pools were in use while they were built. */
import { existsSync } from "node:fs";
import { expect } from "chai";
import { ask } from "../faces/postgres-view.ts";
import { run } from "../support/packed-packages.ts";
import type { ProgramResult } from "../support/program.ts";
import { postgresUrl } from "../support/server-urls.ts";
import { skipWithReason } from "../support/skip.ts";
import { BundledProgram, valuesOf } from "../support/start-up-snapshot.ts";
import { untilTrue } from "../support/until-true.ts";

const DEADLINE_MILLIS = 60_000;
const NAME = "forksafe-snapshot";
const STARTS = 8;

/** What the application reports of itself. */
interface Self {
	readonly pid: number;
	readonly knownPid: number;
	readonly generation: number;
	readonly change: { readonly cause: string; readonly previousPid: number };
	readonly random: number;
	/** In milliseconds of the time of day. */
	readonly clockBeganAt: number;
	readonly backends: readonly number[];
}

/** What the application reports while the snapshot is built. */
type Builder = Pick<Self, "pid" | "backends"> & { readonly endedAt: number };

describe("a start-up snapshot", function () {
	this.timeout(300_000);
	let application: BundledProgram;
	let url: string;
	let env: Record<string, string>;
	let built: ProgramResult;
	let builder: Builder;

	before("build it", async () => {
		url = postgresUrl("TCP") as string;
		env = { DATABASE_URL: url, FORKSAFE_TEST_NAME: NAME };
		application = await BundledProgram.of(new URL("../programs/snapshot-app.ts", import.meta.url));
		built = await application.build({ deadlineMillis: DEADLINE_MILLIS, env });
		[builder] = valuesOf<Builder>(built) as [Builder];
	});

	after(() => application?.remove());

	it("is written when everything was answered, with Knex's own min: 2, and leaves no session behind", async () => {
		expect(built.timedOut, built.output).to.equal(false);
		expect(built.exitCode, built.output).to.equal(0);
		expect(builder.backends).to.have.lengthOf(3);
		await untilTrue(async () => (await sessions(url)).length === 0, {
			what: "the server has heard of the end of each connection",
		});
	});

	it(`gives each of ${STARTS} processes that start from it at once a generation, connections and chance of its own`, async () => {
		const selves: Self[] = [];
		const started = Array.from({ length: STARTS }, () =>
			application.start({
				deadlineMillis: DEADLINE_MILLIS,
				env: { ...env, FORKSAFE_TEST_STAYS: "yes" },
				onReport: (line) => {
					if (line.kind === "report" && line.value !== "ended") selves.push(line.value as Self);
				},
			}),
		);
		await untilTrue(() => selves.length === STARTS, { what: "all have asked", deadlineMillis: DEADLINE_MILLIS });
		const open = await sessions(url);
		for (const { pid } of selves) process.kill(pid, "SIGTERM");
		for (const { output, exitCode, reports } of await Promise.all(started)) {
			expect(exitCode, output).to.equal(0);
			expect(reports.at(-1)).to.have.property("value", "ended");
		}

		for (const { pid, knownPid, generation, change, clockBeganAt } of selves) {
			expect(knownPid).to.equal(pid);
			expect(generation).to.equal(1);
			expect(change).to.deep.equal({ cause: "snapshot", previousPid: builder.pid });
			expect(clockBeganAt, "performance.now() has begun anew").to.be.above(builder.endedAt);
		}
		expect(new Set([builder.pid, ...selves.map(({ pid }) => pid)])).to.have.lengthOf(STARTS + 1);
		expect(new Set(selves.map(({ random }) => random))).to.have.lengthOf(STARTS);
		// What each has asked on is open, and its own.
		const own = selves.map(({ backends }) => [...new Set(backends)]);
		expect(new Set(own.flat())).to.have.lengthOf(own.flat().length);
		expect(open).to.include.members(own.flat());
		expect(own.flat()).not.to.include.members(builder.backends);
	});

	it("starts processes that know what they are also when they have the pid of the one that has built it", async function () {
		const isolated = await pidNamespace();
		if (isolated === undefined) skipWithReason(this, "no PID namespace can be made here (unshare)");
		const [builtAs] = printed<Builder>(await isolated([...application.buildCommand], env));
		const [self] = printed<Self>(await isolated([...application.startCommand], env));
		expect(builtAs).to.include({ pid: 1 });
		expect(self).to.deep.include({ pid: 1, knownPid: 1, generation: 1, change: { cause: "snapshot", previousPid: 1 } });
		expect(self?.backends).not.to.include.members(builtAs?.backends as number[]);
	});

	for (const [what, name] of [
		["pg", "forgetsPgClient"],
		["pg cursor", "forgetsCursor"],
		["pg waiting", "forgetsWhatOthersWaitFor"],
		["client", "forgetsToEndClient"],
		["knex", "forgetsKnexTransaction"],
		["kysely", "forgetsKyselyTransaction"],
	] as const) {
		it(`is not written, and ${name} is named, when that was not given back: ${what}`, async () => {
			const failed = await application.build({ deadlineMillis: DEADLINE_MILLIS, env: { ...env, FORKSAFE_TEST_LAST: what } });
			expect(failed.timedOut, failed.output).to.equal(false);
			expect(failed.exitCode, failed.output).to.equal(1);
			expect(failed.output).to.include("ERR_FORKSAFE_SNAPSHOT").and.to.include(name);
			expect(existsSync(application.blob)).to.equal(false);
		});
	}

	it("is built without TLS: Node crashes when it writes one after that was in use", async () => {
		const refused = await application.build({ deadlineMillis: DEADLINE_MILLIS, env: { ...env, FORKSAFE_TEST_LAST: "tls" } });
		expect(refused.exitCode, refused.output).to.equal(0);
		expect(valuesOf<string>(refused).at(-1)).to.match(/^ERR_FORKSAFE_OPTION: option ssl .* connect without TLS$/);
	});

	it("is written into a single executable, which starts as what it is", async () => {
		const executable = await application.buildExecutable({ ...process.env, ...env });
		const starts = await Promise.all([
			run(executable, [], { env: { ...process.env, ...env } }),
			run(executable, [], { env: { ...process.env, ...env } }),
		]);
		const selves = starts.map((output) => printed<Self>(output)[0] as Self);
		for (const { pid, knownPid, generation, change } of selves) {
			expect(generation).to.equal(1);
			expect(change.cause).to.equal("snapshot");
			expect(knownPid).to.equal(pid);
		}
		expect(new Set(selves.flatMap(({ pid, random }) => [pid, random]))).to.have.lengthOf(4);
	});

	it("is not written into a single executable with a connection that was not given back", async () => {
		const failed = application.buildExecutable({ ...process.env, ...env, FORKSAFE_TEST_LAST: "pg" });
		const error: unknown = await failed.catch((reason: unknown) => reason);
		expect(String(error)).to.include("ERR_FORKSAFE_SNAPSHOT").and.to.include("forgetsPgClient");
	});
});

/** As `valuesOf`, of an application that has nowhere to report to and prints it. */
function printed<T>(output: string): T[] {
	const lines = output.split("\n").filter((line) => line.startsWith("{"));
	return lines.map((line) => (JSON.parse(line) as { value: T }).value);
}

async function sessions(url: string): Promise<number[]> {
	const rows = await ask<{ pid: number }>(url, "select pid from pg_stat_activity where application_name = $1", [NAME]);
	return rows.map(({ pid }) => pid);
}

type Run = (command: readonly string[], env: Record<string, string>) => Promise<string>;

/** Runs a command as process 1, as in a container. As an ordinary user that needs a user namespace, which many systems forbid. */
async function pidNamespace(): Promise<Run | undefined> {
	for (const user of [[], ["--user", "--map-root-user"]]) {
		const unshare = [...user, "--pid", "--fork", "--kill-child", "--mount-proc"];
		const isAllowed = await run("unshare", [...unshare, "true"]).then(
			() => true,
			() => false,
		);
		if (isAllowed) return (command, env) => run("unshare", [...unshare, ...command], { env: { ...process.env, ...env } });
	}
	return undefined;
}
