/** PM2's cluster mode: a daemon of its own, two servers, and 1600 ms for each to end. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { afterThisTest } from "../support/after-this-test.ts";
import { type ExampleOptions, exampleEnvironment, untilNoSession } from "../support/example.ts";
import { useOrders } from "../support/example-orders.ts";
import { textOf, untilRefused } from "../support/http.ts";
import { lockTable } from "../support/table-lock.ts";
import { untilTrue } from "../support/until-true.ts";

const ecosystem = fileURLToPath(new URL("../../examples/pm2/ecosystem.config.cjs", import.meta.url));
// PM2 is a dependency of the example.
const binary = createRequire(ecosystem).resolve("pm2/bin/pm2");

describe("the example of PM2's cluster mode", function () {
	this.timeout(120_000); // many processes start, and the machine may be busy
	const orders = useOrders();

	it("reloads and stops: what is under way is finished, nobody has to be killed, and no session is left", async () => {
		const daemon = new Daemon();
		await daemon.run("start", ecosystem);
		const at = await daemon.url();

		const old = await daemon.amidOrders("reload", at);
		const young = await daemon.amidOrders("stop", at);
		expect(new Set([...old, ...young]).size, "servers").to.equal(4);
		expect(await orders()).to.deep.equal({ count: 4, workers: 4 });

		await untilRefused(at);
		await untilNoSession(daemon.applicationName);
		expect(daemon.log().match(/exited with code \[\d+\] via signal \[\w+\]/g)).to.deep.equal(
			Array.from({ length: 4 }, () => "exited with code [0] via signal [SIGINT]"),
		);
		expect(daemon.log()).not.to.match(/SIGKILL|still alive/);
		expect(daemon.output("example")).not.to.match(/still at work|Error/);
	});

	it("loses what is under way without its shutdown", async () => {
		const daemon = new Daemon({ withoutShutdown: true });
		await daemon.run("start", ecosystem);
		const at = await daemon.url();
		const lock = await lockTable("example_orders");
		const answer = textOf(at).catch((error: Error) => error.message);
		await lock.waiters(1);

		await daemon.run("stop", "example");
		await lock.release();

		expect(await answer).to.equal("fetch failed");
		await untilNoSession(daemon.applicationName);
		expect((await orders()).count).to.equal(0);
	});
});

const deadlineMillis = 60_000;

/** A daemon of PM2 that nobody else knows of, until the end of this test. */
class Daemon {
	readonly applicationName = `example-${crypto.randomUUID()}`;
	readonly #home = mkdtempSync(join(tmpdir(), "forksafe-pm2-"));
	readonly #env: NodeJS.ProcessEnv;

	constructor(options: ExampleOptions = {}) {
		this.#env = {
			...process.env,
			...exampleEnvironment(this.applicationName, options),
			PM2_HOME: this.#home,
			// It would ask its maker's server whether there is a newer one.
			PM2_DISCRETE_MODE: "true",
			PM2_DISABLE_VERSION_CHECK: "true",
		};
		const killWithUs = (): void => this.#kill();
		process.once("exit", killWithUs);
		afterThisTest(async () => {
			await this.run("kill").catch(() => {});
			this.#kill();
			process.removeListener("exit", killWithUs);
			rmSync(this.#home, { recursive: true, force: true });
		});
	}

	async run(...args: readonly string[]): Promise<void> {
		await promisify(execFile)(process.execPath, [binary, ...args], { env: this.#env, timeout: deadlineMillis });
	}

	/** Has the daemon do something while each server has an order under way; the answers to both. */
	async amidOrders(action: "reload" | "stop", url: string): Promise<string[]> {
		const lock = await lockTable("example_orders");
		const answers = Promise.all([textOf(url), textOf(url)]);
		await lock.waiters(2);
		const before = this.#timesAsked();
		const acted = this.run(action, "example");
		await untilTrue(() => this.#timesAsked() > before, { what: `a server hears of the ${action}`, deadlineMillis });
		await lock.release();
		await acted;
		return answers;
	}

	/** What the daemon has to say. */
	log(): string {
		return readFileSync(join(this.#home, "pm2.log"), "utf8");
	}

	/** What an application has written. */
	output(name: string): string {
		const directory = join(this.#home, "logs");
		const files = readdirSync(directory).filter((file) => file.startsWith(name));
		return files.map((file) => readFileSync(join(directory, file), "utf8")).join("");
	}

	async url(): Promise<string> {
		const pattern = /listens on (\S+)/;
		await untilTrue(() => pattern.test(this.output("example")), { what: "a server listens", deadlineMillis });
		return pattern.exec(this.output("example"))?.[1] ?? "";
	}

	#timesAsked(): number {
		return this.output("example").split("shuts down: SIGINT").length - 1;
	}

	#kill(): void {
		try {
			process.kill(-Number(readFileSync(join(this.#home, "pm2.pid"), "utf8")), "SIGKILL");
		} catch {
			// It has gone, and its file with it.
		}
	}
}
