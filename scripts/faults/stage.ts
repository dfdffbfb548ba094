import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { ChaosProxy } from "../../test/support/chaos-proxy.ts";
import { type EmbeddedServer, startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { runProgram } from "../../test/support/program.ts";
import type { Report } from "../../test/support/report.ts";
import { offeredTransports } from "../../test/support/transports.ts";
import { untilTrue } from "../../test/support/until-true.ts";
import { type Account, silence, sum } from "./account.ts";
import type { Casting, Line } from "./bench.ts";
import type { Action, Scenario, Way } from "./scenario.ts";
import type { Subject } from "./subjects.ts";

/** How a scenario went. */
export interface Performance {
	readonly account: Account;
	/** The last words of a program that died. */
	readonly crash: string | undefined;
	readonly isKilled: boolean;
}

const program = new URL("program.ts", import.meta.url);
const limitedRole = "limited";
const askMillis = 10_000;
const frozenMillis = 3_000;

/** A server of its own, on which one scenario is played at a time, and which causes its faults. */
export class Stage {
	readonly #server: EmbeddedServer;
	readonly #urls: { readonly TCP: string; readonly unix: string | undefined };
	#isDown = false;

	private constructor(server: EmbeddedServer, unix: string | undefined) {
		this.#server = server;
		this.#urls = { TCP: server.url, unix };
	}

	/** Starts the server. */
	static async open(): Promise<Stage> {
		const server = await startEmbeddedServer({ maxConnections: 100, tls: false, unixSocket: true });
		try {
			const { unixSocketUrl } = await offeredTransports(server.url);
			const stage = new Stage(server, unixSocketUrl);
			await stage.query(`create role ${limitedRole} login password '${limitedRole}' connection limit 5`);
			return stage;
		} catch (error) {
			await server.stop();
			throw error;
		}
	}

	/** Plays a scenario, in programs that are gone when this resolves. */
	async play(scenario: Scenario, subject: Subject, way: Way): Promise<Performance> {
		const set = await Scenery.build(this, scenario);
		try {
			const casting: Casting = {
				subject: subject.name,
				scenario: scenario.name,
				way,
				url: this.#urlFor(scenario, way, set.proxy),
				bellPort: set.bellPort,
				answers: set.answers,
			};
			const runs = Array.from({ length: scenario.processes ?? 1 }, () => perform(casting, scenario, set));
			const performances = await Promise.all(runs);
			return {
				account: sum(performances.map(({ account }) => account)),
				crash: performances.find(({ crash }) => crash !== undefined)?.crash,
				isKilled: performances.some(({ isKilled }) => isKilled),
			};
		} finally {
			await set.strike();
			if (this.#isDown) await this.resume();
			await this.terminate();
		}
	}

	async close(): Promise<void> {
		await this.#server.stop();
	}

	async halt(): Promise<void> {
		this.#isDown = true;
		await this.#server.halt();
	}

	async resume(): Promise<void> {
		await this.#server.resume();
		this.#isDown = false;
	}

	/** Ends every session that there is now, and waits until they are gone. */
	async terminate(): Promise<void> {
		const mine = "backend_type = 'client backend' and pid <> pg_backend_pid()";
		const ended = await this.query<{ pid: number }>(
			`select pid from (select pid, pg_terminate_backend(pid) from pg_stat_activity where ${mine}) as ended`,
		);
		const pids = ended.map(({ pid }) => pid);
		const areGone = async (): Promise<boolean> => {
			const [left] = await this.query<{ n: number }>("select count(*)::int as n from pg_stat_activity where pid = any($1)", [
				pids,
			]);
			return left?.n === 0;
		};
		await untilTrue(areGone, { what: "the sessions are gone", deadlineMillis: askMillis });
	}

	async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
		const client = new pg.Client({
			connectionString: this.#server.url,
			connectionTimeoutMillis: askMillis,
			query_timeout: askMillis,
		});
		client.on("error", () => {});
		await client.connect();
		try {
			return (await client.query<Row>(text, values)).rows;
		} finally {
			await client.end();
		}
	}

	get port(): number {
		return Number(new URL(this.#urls.TCP).port);
	}

	#urlFor({ target, isProxied = false }: Scenario, { transport }: Way, proxy: ChaosProxy): string {
		const plain = this.#urls[transport];
		if (plain === undefined) throw new Error(`the server cannot be reached over ${transport}`);
		if (isProxied) return proxy.urlOf(plain);
		if (target === undefined) return plain;
		const url = new URL(plain);
		if (target === "limited") url.username = url.password = limitedRole;
		else if (target === "password") url.password = "wrong";
		else if (target === "database") url.pathname = "/no_such_database";
		else if (target === "nobody") url.port = String(proxy.port);
		else if (target === "nowhere") url.hostname = "forksafe.invalid";
		else url.searchParams.set("sslmode", "require");
		return url.href;
	}
}

async function perform(casting: Casting, { deadlineMillis }: Scenario, set: Scenery): Promise<Performance> {
	const { reports, exitCode, output, timedOut } = await runProgram(program, {
		args: [JSON.stringify(casting)],
		deadlineMillis,
		// As applications run: without the flags that only a fork needs, and that make collecting garbage slower.
		nodeArgs: ["--no-single-threaded", "--no-enable-source-maps"],
		onReport: (report) => set.hear(report),
	});
	const lines = reports.flatMap((report) => (report.kind === "report" ? [report.value as Line] : []));
	const account = lines.findLast((line) => line.account !== undefined)?.account ?? silence;
	const isCrashed = !timedOut && (exitCode !== 0 || !account.isDone);
	const words = output.split("\n").find((line) => /^\w*error: /i.test(line)) ?? output.trim().split("\n").at(-1);
	return { account, crash: isCrashed ? (words ?? "it said nothing") : undefined, isKilled: timedOut };
}

/** What one scenario needs beside the server: a proxy, a bell, and a place for answers. */
class Scenery {
	readonly proxy: ChaosProxy;
	readonly answers = mkdtempSync(join(tmpdir(), "forksafe-faults-"));
	readonly #stage: Stage;
	readonly #scenario: Scenario;
	readonly #bell: Server;
	readonly #ears = new Set<Socket>();
	readonly #acting = new Set<Promise<void>>();
	#waiting: (() => void)[] = [];

	private constructor(stage: Stage, scenario: Scenario) {
		this.#stage = stage;
		this.#scenario = scenario;
		this.proxy = new ChaosProxy({ host: "127.0.0.1", port: stage.port });
		this.#bell = createServer((ear) => void this.#ears.add(ear.on("error", () => {})));
	}

	static async build(stage: Stage, scenario: Scenario): Promise<Scenery> {
		const set = new Scenery(stage, scenario);
		await new Promise<void>((resolve) => void set.#bell.listen(0, "127.0.0.1", resolve));
		await set.proxy.start();
		// Its port is taken by nobody else meanwhile, as near as can be.
		if (scenario.target === "nobody") await set.proxy.refuse();
		return set;
	}

	get bellPort(): number {
		return (this.#bell.address() as AddressInfo).port;
	}

	/** Does what a program asks for, and answers in a file, which a blocked program can read, too. */
	hear({ pid, kind, ...said }: Report): void {
		const please = kind === "report" ? ((said as { value?: Line }).value?.please ?? undefined) : undefined;
		if (please === undefined) return;
		const answer = (text: string): void => {
			const path = join(this.answers, `${pid}-${please.id}`);
			writeFileSync(`${path}.part`, text);
			renameSync(`${path}.part`, path);
		};
		const done = this.#act(please.action, pid)
			.then(answer, (error: unknown) => answer(`error: ${String(error)}`))
			.finally(() => this.#acting.delete(done));
		this.#acting.add(done);
	}

	/** When what it was asked for is done, also for a program that is dead: else it would be done to the next one. */
	async strike(): Promise<void> {
		for (const go of this.#waiting.splice(0)) go();
		await Promise.all(this.#acting);
		for (const ear of this.#ears) ear.destroy();
		this.#bell.close();
		await this.proxy.stop();
		rmSync(this.answers, { recursive: true, force: true });
	}

	async #act(action: Action, pid: number): Promise<string> {
		switch (action) {
			case "terminate sessions":
				await this.#stage.terminate();
				break;
			case "halt the server":
				await this.#stage.halt();
				break;
			case "resume the server after 2 s":
				await delay(2_000);
				await this.#stage.resume();
				break;
			case "restart the server":
				await this.#stage.halt();
				await this.#stage.resume();
				break;
			case "freeze for 3 s":
				process.kill(pid, "SIGSTOP");
				try {
					// First, so that it is the first thing to be read.
					this.#ring();
					await this.#stage.terminate();
					await delay(frozenMillis);
				} finally {
					process.kill(pid, "SIGCONT");
				}
				break;
			case "swallow new connections":
				this.proxy.swallowsNew = true;
				break;
			case "stall connections":
				this.proxy.stall();
				break;
			case "reset connections":
				this.proxy.reset();
				await delay(20);
				break;
			case "cut connections":
				this.proxy.cut();
				await delay(20);
				break;
			case "slow the network":
				this.proxy.latencyMillis = 20;
				this.proxy.acceptDelayMillis = 300;
				break;
			case "heal the network":
				this.proxy.swallowsNew = false;
				break;
			case "wait for the others":
				await this.#everybody();
				break;
			case "ring":
				this.#ring();
				break;
			case "count sessions": {
				const [row] = await this.#stage.query<{ n: number }>(
					"select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
				);
				return String(row?.n);
			}
		}
		return "done";
	}

	#ring(): void {
		for (const ear of this.#ears) ear.write(".");
	}

	#everybody(): Promise<void> {
		return new Promise((resolve) => {
			this.#waiting.push(resolve);
			if (this.#waiting.length === (this.#scenario.processes ?? 1)) for (const go of this.#waiting.splice(0)) go();
		});
	}
}
