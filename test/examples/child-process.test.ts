/** Workers of `child_process.fork`, that are sent their work over the channel, and have a pool each. */
import { expect } from "chai";
import { startExample } from "../support/example.ts";
import { useOrders } from "../support/example-orders.ts";
import { lockTable } from "../support/table-lock.ts";

const main = new URL("../../examples/child-process/main.ts", import.meta.url);

describe("the example of child_process.fork", () => {
	const orders = useOrders();

	it("ends when all is done, with its workers and their sessions", async () => {
		const example = startExample(main, { env: { WORKERS: "2", ORDERS: "20" } });
		expect(await example.ended, example.output()).to.include({ exitCode: 0 });
		expect(example.output()).to.match(
			/(\d+ shuts down: disconnect\s+){2}\d+ shuts down: nothing left to do\s+20 of 20 orders done/,
		);
		await example.leftNothing();
		expect(await orders()).to.deep.equal({ count: 20, workers: 2 });
	});

	it("on SIGTERM finishes the orders that are under way, and hands out no more", async () => {
		const lock = await lockTable("example_orders");
		const example = startExample(main, { env: { WORKERS: "2", SHUTDOWN_MILLIS: "10000" } });
		await lock.waiters(2);

		example.kill("SIGTERM");
		await example.said(/(\d+ shuts down: message\s+){2}/);
		await lock.release();

		const ending = await example.ended;
		expect(ending, example.output()).to.include({ exitCode: 0 });
		expect(ending.millis).to.be.lessThan(8_000);
		expect(example.output())
			.to.include("2 of 100 orders done by 2 workers")
			.and.not.match(/still at work|Error/);
		await example.leftNothing();
		expect(await orders()).to.deep.equal({ count: 2, workers: 2 });
	});

	it("on SIGTERM loses them without its shutdown", async () => {
		const lock = await lockTable("example_orders");
		const example = startExample(main, { withoutShutdown: true, env: { WORKERS: "2" } });
		await lock.waiters(2);

		example.kill("SIGTERM");
		expect(await example.ended).to.include({ signal: "SIGTERM" });
		example.killAll("SIGTERM");
		await lock.release();

		await example.leftNothing();
		expect(await orders()).to.deep.equal({ count: 0, workers: 0 });
	});

	it("leaves it to its workers to finish when it is killed", async () => {
		const lock = await lockTable("example_orders");
		const example = startExample(main, { env: { WORKERS: "2", SHUTDOWN_MILLIS: "10000" } });
		await lock.waiters(2);

		example.kill("SIGKILL");
		await example.said(/(\d+ shuts down: disconnect\s+){2}/);
		await lock.release();

		await example.leftNothing();
		expect(await orders()).to.deep.equal({ count: 2, workers: 2 });
	});
});
