/** One budget for several processes, as the server sees it: `pg_stat_activity` is asked without a pause. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type Budget, connectionBudget } from "@forksafe/cluster";
import { expect } from "chai";
import { afterThisTest } from "../support/after-this-test.ts";
import { serverUrl } from "../support/pooled-faces.ts";
import { runProgram } from "../support/program.ts";
import { SessionWatch } from "../support/session-watch.ts";
import { needsForks } from "../support/skip.ts";
import { untilTrue } from "../support/until-true.ts";

const workerProgram = new URL("../programs/budgeted-worker.ts", import.meta.url);
const serverProgram = new URL("../programs/budget-server.ts", import.meta.url);
const forkedProgram = new URL("../programs/forked-budget.ts", import.meta.url);
const execArgv = ["--conditions=@forksafe/source"];
let names = 0;

/** A process with a pool. */
class Worker {
	readonly process: ChildProcess;
	answers = 0;
	errors: readonly string[] = [];
	warnings = "";

	constructor(name: string, env: NodeJS.ProcessEnv = {}, seconds = 0.002) {
		const stdio = ["ignore", "inherit", "pipe", "ipc"] as const;
		this.process = fork(workerProgram, [name, "10", String(seconds)], {
			execArgv,
			stdio: [...stdio],
			env: { ...process.env, ...env },
		});
		this.process.stderr?.on("data", (chunk: Buffer) => {
			this.warnings += chunk.toString();
		});
		this.process.on("message", (message: { answers?: number; errors?: string[] }) => {
			this.answers = message.answers ?? this.answers;
			this.errors = message.errors ?? this.errors;
		});
		afterThisTest(() => this.kill());
	}

	/** @returns how long it took, in milliseconds */
	async order(order: object | "release"): Promise<number> {
		const since = performance.now();
		const done = JSON.stringify({ done: order });
		let isDone = false;
		const listen = (message: unknown): void => {
			isDone ||= JSON.stringify(message) === done;
		};
		this.process.on("message", listen);
		this.process.send(order);
		await untilTrue(() => isDone, { what: `${JSON.stringify(order)} is done`, deadlineMillis: 20_000 });
		this.process.off("message", listen);
		return performance.now() - since;
	}

	async answersMore(count: number): Promise<void> {
		const goal = this.answers + count;
		await untilTrue(() => this.answers >= goal, { what: `${count} more answers`, deadlineMillis: 20_000 });
	}

	async kill(): Promise<void> {
		if (this.process.exitCode !== null || this.process.signalCode !== null) return;
		this.process.kill("SIGKILL");
		await once(this.process, "exit");
	}
}

/** Counts the sessions of that name, until the end of the test. */
async function watchSessions(name: string): Promise<SessionWatch> {
	const watch = await SessionWatch.start(serverUrl(), { column: "application_name", name });
	afterThisTest(() => watch.stop());
	return watch;
}

describe("a budget of several processes", function () {
	this.timeout(60_000);

	function serve(total: number, reserve: number): Budget {
		const budget = connectionBudget({ total, reserve });
		afterThisTest(async () => budget.close());
		return budget;
	}

	/** In a process of its own. */
	async function serveApart(total: number, reserve: number): Promise<{ server: ChildProcess; env: NodeJS.ProcessEnv }> {
		const server = fork(serverProgram, [String(total), String(reserve)], { execArgv });
		afterThisTest(async () => void server.kill("SIGKILL"));
		const [path] = await once(server, "message");
		return { server, env: { FORKSAFE_BUDGET: path as string } };
	}

	it("is never exceeded while workers are busy, killed, restarted and added, and no query fails", async () => {
		const name = `budget-${process.pid}-${++names}`;
		const budget = serve(10, 3);
		const watch = await watchSessions(name);
		const workers = Array.from({ length: 4 }, () => new Worker(name));
		await Promise.all(workers.map((worker) => worker.order({ users: 12 })));
		await Promise.all(workers.map((worker) => worker.answersMore(50)));
		expect(watch.most).to.be.within(5, 7);
		for (let round = 0; round < 2; round++) {
			await workers.shift()?.kill();
			const worker = new Worker(name);
			workers.push(worker);
			await worker.order({ users: 12 });
			await worker.answersMore(20);
		}
		const added = new Worker(name);
		workers.push(added);
		await added.order({ users: 12 });
		await Promise.all(workers.map((worker) => worker.answersMore(50)));
		expect(watch.most).to.be.at.most(10);
		expect(workers.flatMap(({ errors }) => errors)).to.deep.equal([]);
		expect(budget.stats()).to.include({ processes: 5 });
	});

	it("counts the sessions of the dead until the server has noticed, which goes on with their statements", async () => {
		const name = `budget-${process.pid}-${++names}`;
		serve(10, 2);
		const watch = await watchSessions(name);
		const [dying, other] = [new Worker(name, {}, 0.4), new Worker(name, {}, 0.4)];
		await Promise.all([dying.order({ users: 12 }), other.order({ users: 12 })]);
		await Promise.all([dying.answersMore(8), other.answersMore(8)]);
		await dying.kill();
		await untilTrue(() => watch.now === 8, { what: "the other has all permits", deadlineMillis: 20_000 });
		await other.answersMore(16);
		expect(watch.most).to.be.within(9, 10);
		expect(other.errors).to.deep.equal([]);
	});

	it("gives a worker its share soon, although another one holds all of it idle", async () => {
		const name = `budget-${process.pid}-${++names}`;
		serve(10, 0);
		const watch = await watchSessions(name);
		const [idle, late] = [new Worker(name), new Worker(name)];
		await idle.order({ hold: 10 });
		await untilTrue(() => watch.now === 10, { what: "it holds all", deadlineMillis: 20_000 });
		await idle.order("release");
		const millis = await late.order({ hold: 5 });
		console.log(`      its share of 5 after ${millis.toFixed(0)} ms`);
		expect(millis).to.be.below(5_000);
		expect(watch.most).to.equal(10);
	});

	it("gives a worker its share soon, although another one keeps all of it busy", async () => {
		const name = `budget-${process.pid}-${++names}`;
		serve(10, 0);
		const watch = await watchSessions(name);
		const [busy, late] = [new Worker(name), new Worker(name)];
		await busy.order({ users: 20 });
		await busy.answersMore(100);
		const millis = await late.order({ hold: 5 });
		console.log(`      its share of 5 after ${millis.toFixed(0)} ms`);
		expect(millis).to.be.below(5_000);
		await busy.answersMore(100);
		expect(watch.most).to.equal(10);
		expect(busy.errors).to.deep.equal([]);
	});

	it("lets a worker have what the others do not use, beyond its share", async () => {
		const name = `budget-${process.pid}-${++names}`;
		const budget = serve(10, 0);
		const [quiet, greedy] = [new Worker(name), new Worker(name)];
		await quiet.order({ hold: 4 });
		await quiet.order("release");
		await greedy.order({ hold: 10 });
		expect(budget.stats()).to.include({ held: 10 });
	});

	it("is not exceeded while the primary does not answer, and holds when it does again", async () => {
		const name = `budget-${process.pid}-${++names}`;
		const { server, env } = await serveApart(10, 3);
		const watch = await watchSessions(name);
		const workers = Array.from({ length: 2 }, () => new Worker(name, env));
		await Promise.all(workers.map((worker) => worker.order({ users: 10 })));
		await Promise.all(workers.map((worker) => worker.answersMore(20)));
		server.kill("SIGSTOP");
		const late = new Worker(name, env);
		await late.order({ users: 10 });
		await Promise.all(workers.map((worker) => worker.answersMore(100)));
		expect(late.answers).to.equal(0);
		expect(watch.most).to.be.at.most(7);
		server.kill("SIGCONT");
		await late.answersMore(50);
		expect(watch.most).to.be.at.most(7);
		expect([...workers, late].flatMap(({ errors }) => errors)).to.deep.equal([]);
	});

	it("lives on as a fixed share when the primary is killed", async () => {
		const name = `budget-${process.pid}-${++names}`;
		const { server, env } = await serveApart(10, 0);
		const watch = await watchSessions(name);
		const [greedy, idle] = [new Worker(name, env), new Worker(name, env)];
		await idle.order({ users: 1 });
		await greedy.order({ users: 20 });
		await Promise.all([greedy.answersMore(100), idle.answersMore(20)]);
		server.kill("SIGKILL");
		await once(server, "exit");
		await greedy.answersMore(50);
		await idle.order({ users: 20 });
		await untilTrue(() => watch.now === 10, { what: "both have their shares", deadlineMillis: 20_000 });
		expect(await idle.order({ users: 0 })).to.be.a("number");
		await idle.order({ hold: 5 });
		await greedy.answersMore(50);
		expect(watch.most).to.equal(10);
		expect([...greedy.errors, ...idle.errors]).to.deep.equal([]);
		expect(greedy.warnings).to.include("FORKSAFE_BUDGET").and.include("open 5 connections at most");
	});

	describe("over real forks", () => {
		before(needsForks);

		it("is shared by a parent and its children, and goes on being served by the parent", async () => {
			const name = `budget-${process.pid}-${++names}`;
			const watch = await watchSessions(name);
			const { reports, output, exitCode } = await runProgram(forkedProgram, { deadlineMillis: 40_000, args: [name, "6"] });
			const [said] = reports.flatMap((line) => (line.kind === "report" ? [line.value] : []));
			expect(said, output).to.deep.include({ parent: 600, first: 300, second: 300 });
			expect(exitCode, output).to.equal(0);
			expect(output, output).not.to.include("FORKSAFE_BUDGET");
			expect(watch.most).to.be.within(2, 6);
		});
	});
});
