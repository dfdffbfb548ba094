import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import pg from "pg";
import { forkableFlags } from "../support/posix-fork.ts";
import { type ProgramOptions, type ProgramResult, runProgram } from "../support/program.ts";
import type { Report } from "../support/report.ts";
import { postgresUrl, transports } from "../support/server-urls.ts";
import { needsForks, skipWithReason } from "../support/skip.ts";

const forking = new URL("../support/fixtures/forking.ts", import.meta.url);
const unforkable = new URL("../support/fixtures/unforkable.ts", import.meta.url);

function run(scenario: string, options: Partial<ProgramOptions> = {}): Promise<ProgramResult> {
	return runProgram(forking, { args: [scenario], deadlineMillis: 20_000, ...options });
}

/** What the program itself reported, when it went well. */
async function reported(scenario: string): Promise<readonly unknown[]> {
	const result = await run(scenario);
	expect(result).to.include({ exitCode: 0, timedOut: false }, result.output);
	return result.reports.filter(({ process }) => process === "program").map(content);
}

function content(report: Report): unknown {
	return report.kind === "error" ? report.error : report.value;
}

const crashed = { name: "ChildFailure", code: "ERR_CHILD_CRASHED" };

describe("forkChild", () => {
	before(needsForks);

	it("hands the child's value to the parent and to the runner", async () => {
		const { reports } = await run("value");
		const [fromChild, fromParent] = reports;
		const value = { pid: fromChild?.pid, ppid: fromParent?.pid, stale: fromParent?.pid };
		expect(fromChild).to.deep.equal({ process: "child", pid: value.pid, kind: "result", value });
		expect(fromParent).to.deep.include({
			value: { result: value, parent: value.ppid, child: value.pid, exited: { code: 0 } },
		});
		expect(value.pid).not.to.equal(value.ppid);
	});

	it("starts the body in the turn of the fork", async () => {
		expect(await reported("same turn")).to.deep.equal([["body"]]);
	});

	it("hands on the child's error with its name, code, message and cause", async () => {
		const [error, exited] = await reported("error");
		expect(error).to.deep.include({ name: "RangeError", code: "ERR_MINE", message: "out of range" });
		expect(error).to.have.nested.property("cause.message", "because");
		expect(error).to.have.property("stack").that.includes("forking.ts");
		expect(exited).to.deep.equal({ code: 1 });
	});

	it("hands on an error that nobody caught in the child", async () => {
		const [error] = await reported("uncaught error");
		expect(error).to.deep.include({ name: "TypeError", message: "from a callback" });
	});

	it("fails with the child's name when the child hangs, and keeps what it printed", async () => {
		const { exitCode, output, reports } = await run("hang");
		expect(exitCode).to.equal(1);
		expect(output)
			.to.include("stuck says hello")
			.and.to.match(/child "stuck" \(pid \d+\) hung: after 300 ms/);
		expect(reports).to.have.lengthOf(1);
		expect(reports[0]).to.include({ process: "stuck", kind: "error" });
	});

	it("fails when a child that is to run dry does not", async () => {
		const [error, exited] = await reported("hang after the body");
		expect(error).to.include({ code: "ERR_CHILD_HUNG" }).and.to.have.property("message").that.includes("run-dry");
		expect(exited).to.deep.equal({ signal: "SIGKILL" });
	});

	it("fails when the child crashes", async () => {
		const [error, exited] = await reported("segfault");
		expect(error).to.include(crashed).and.to.have.property("message").that.includes("died of SIGSEGV");
		expect(exited).to.deep.equal({ signal: "SIGSEGV" });
	});

	it("fails when the child exits before its body has ended", async () => {
		const [error, exited] = await reported("exit 3");
		expect(error).to.include(crashed).and.to.have.property("message").that.includes("exited with code 3");
		expect(exited).to.deep.equal({ code: 3 });
	});

	it("lets a child end in its own way when asked to", async () => {
		expect(await reported("end by itself")).to.deep.equal([{ result: "undefined", exited: { code: 3 } }]);
	});

	it("forks grandchildren", async () => {
		const { reports } = await run("grandchildren");
		const [grandchild, child, program] = reports;
		expect([grandchild, child, program].map((line) => line?.process)).to.deep.equal(["child/grandchild", "child", "program"]);
		const inner = { pid: grandchild?.pid, ppid: child?.pid };
		expect(program).to.deep.include({ value: { child: child?.pid, result: { pid: child?.pid, grandchild: inner } } });
	});

	it("forks ten healthy children at once, and reaps every one", async () => {
		const [results, left] = await reported("ten at once");
		expect(results).to.deep.equal(Array.from({ length: 10 }, (_, index) => `child ${index}: 42`));
		expect(left).to.deep.equal([]);
	});

	it("lets a child run dry whatever its parent is waiting for", async () => {
		expect(await reported("run dry")).to.deep.equal([{ result: "value", exited: { code: 0 } }, { signal: "SIGKILL" }]);
	});

	it("lets a child end by a signal", async () => {
		expect(await reported("exit by a signal")).to.deep.equal([{ result: "value", exited: { signal: "SIGKILL" } }]);
	});
});

describe("posixFork", () => {
	before(needsForks);

	it("returns twice", async () => {
		const [status] = await reported("bare fork");
		expect(status).to.include({ exitCode: 5 });
	});

	it("says why a process cannot be forked", async () => {
		const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(unforkable)]);
		expect(stdout.trim()).to.equal(`real forks need node ${forkableFlags.join(" ")}`);
		const { output } = await runProgram(unforkable, { deadlineMillis: 10_000 });
		expect(output.trim()).to.equal("forkable");
	});
});

describe("untilTrue", () => {
	before(needsForks);

	it("says what it waited for in vain, even when the check hangs", async () => {
		const { output, exitCode } = await run("wait in vain");
		expect(exitCode).to.equal(1);
		expect(output).to.include("not within 50 ms: the moon is blue");
	});
});

describe("runProgram", () => {
	before(needsForks);

	it("kills the whole group at its deadline, and keeps head and tail of the output", async () => {
		const streamed: Report[] = [];
		const started = performance.now();
		const result = await run("strays", { deadlineMillis: 1_500, onReport: (report) => streamed.push(report) });
		expect(result).to.include({ timedOut: true, signal: "SIGKILL" });
		expect(performance.now() - started).to.be.below(5_000);
		expect(streamed).to.deep.equal(result.reports);
		const pids = streamed[0] && content(streamed[0]);
		expect(pids).to.be.an("array").with.lengthOf(3);
		for (const pid of pids as number[]) expect(isRunning(pid), `${pid} is running`).to.equal(false);
		expect(result.output).to.have.lengthOf.below(70_000);
		expect(result.output).to.match(/^head .* bytes left out .* the end\n$/s);
	});

	it("keeps large reports of many processes apart", async () => {
		const { reports, output } = await run("large reports");
		const values = reports.filter(({ kind }) => kind === "report").map(content);
		expect(values, output).to.have.lengthOf(80);
		for (const value of values) expect(value).to.match(/^([a-d])\1{99999}$/);
	});
});

describe("the PostgreSQL server", () => {
	const expected = {
		TCP: { local: false, ssl: false },
		"a unix socket": { local: true, ssl: false },
		TLS: { local: false, ssl: true },
	};

	for (const transport of transports) {
		it(`answers over ${transport}`, async function () {
			const url = postgresUrl(transport);
			if (url === undefined) return skipWithReason(this, `the given PostgreSQL cannot be reached over ${transport} from here`);
			const client = new pg.Client(url);
			await client.connect();
			try {
				const { rows } = await client.query(
					"select inet_client_addr() is null as local, ssl from pg_stat_ssl where pid = pg_backend_pid()",
				);
				expect(rows).to.deep.equal([expected[transport]]);
			} finally {
				await client.end();
			}
		});
	}
});

/** A killed process that init has not reaped yet has ended all the same. */
function isRunning(pid: number): boolean {
	if (!existsSync(`/proc/${pid}`)) return false;
	return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
}
