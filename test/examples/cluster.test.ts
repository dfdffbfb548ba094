/** `node:cluster` with 15 workers that share a port, and have a pool each. */
import { once } from "node:events";
import { statSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import process from "node:process";
import { expect } from "chai";
import { type RunningExample, startExample } from "../support/example.ts";
import { useOrders } from "../support/example-orders.ts";
import { textOf, untilRefused } from "../support/http.ts";
import { lockTable } from "../support/table-lock.ts";

const main = new URL("../../examples/cluster/main.ts", import.meta.url);

describe("the example of cluster", function () {
	this.timeout(120_000); // many processes start, and the machine may be busy
	const orders = useOrders();

	it("loses what is under way without its shutdown", async () => {
		const example = startExample(main, { withoutShutdown: true, env: { WORKERS: "2" } });
		const at = await listening(example);
		const lock = await lockTable("example_orders");
		const answer = textOf(`${at}/order`).catch((error: Error) => error.message);
		await lock.waiters(1);

		example.kill("SIGTERM");
		await untilRefused(at);
		await lock.release();

		expect(await answer).to.equal("fetch failed");
		expect(await example.ended).to.include({ signal: "SIGTERM" });
		await example.leftNothing();
		expect((await orders()).count).to.equal(0);
	});

	it("finishes what is under way when the primary is killed", async () => {
		const example = startExample(main, { env: { WORKERS: "2", SHUTDOWN_MILLIS: "10000" } });
		const at = await listening(example);
		const lock = await lockTable("example_orders");
		const answer = textOf(`${at}/order`);
		await lock.waiters(1);

		example.kill("SIGKILL");
		await untilRefused(at);
		await lock.release();

		expect(await answer).to.match(/^worker/);
		expect((await orders()).count).to.equal(1);
		await example.leftNothing();
	});

	it("finishes also what nobody waits for any more", async () => {
		const example = startExample(main, { env: { WORKERS: "2", SHUTDOWN_MILLIS: "10000" } });
		const at = await listening(example);
		const lock = await lockTable("example_orders");
		const request = get(`${at}/order`).on("error", () => {});
		await lock.waiters(1);
		request.destroy();

		example.kill("SIGTERM");
		await untilRefused(at);
		await lock.release();

		expect(await example.ended, example.output()).to.include({ exitCode: 0 });
		expect((await orders()).count).to.equal(1);
		await example.leftNothing();
	});

	it("finishes what is under way on Ctrl-C, of which the workers hear as soon as the primary", async () => {
		const example = startExample(main, { env: { WORKERS: "2", SHUTDOWN_MILLIS: "10000" } });
		const at = await listening(example);
		const lock = await lockTable("example_orders");
		const answer = textOf(`${at}/order`);
		await lock.waiters(1);

		example.killAll("SIGINT");
		await untilRefused(at);
		await lock.release();

		expect(await answer).to.match(/^worker/);
		expect(await example.ended, example.output()).to.include({ exitCode: 0 });
		expect((await orders()).count).to.equal(1);
		expect(example.output()).not.to.include("starting another");
		await example.leftNothing();
	});

	it("serves with 15 workers, and on SIGTERM ends what is under way, and nothing else", async () => {
		const example = startExample(main, { env: { SHUTDOWN_MILLIS: "10000" } });
		const at = await listening(example);
		expect(await textOf(`${at}/primes?below=1000`)).to.equal("168\n");
		const lock = await lockTable("example_orders");
		const answers = Promise.all(Array.from({ length: 15 }, () => textOf(`${at}/order`)));
		await lock.waiters(15);
		const [file] = (await once(get(`${at}/file`), "response")) as [IncomingMessage];

		example.kill("SIGTERM");
		await untilRefused(at);
		await lock.release();

		expect(new Set(await answers).size, "workers").to.equal(15);
		expect(await lengthOf(file)).to.equal(statSync(process.execPath).size);
		const ending = await example.ended;
		expect(ending, example.output()).to.include({ exitCode: 0, signal: undefined });
		expect(ending.millis).to.be.lessThan(10_000);
		expect(await orders()).to.deep.equal({ count: 15, workers: 15 });
		expect(example.output())
			.to.match(/(\d+ shuts down: disconnect\s+){15}/)
			.and.not.match(/still at work|Error/);
		await example.leftNothing();
	});
});

async function listening(example: RunningExample): Promise<string> {
	const [, url = ""] = await example.said(/workers on (http:\S+)/);
	return url;
}

async function lengthOf(stream: AsyncIterable<Buffer>): Promise<number> {
	let length = 0;
	for await (const chunk of stream) length += chunk.length;
	return length;
}
