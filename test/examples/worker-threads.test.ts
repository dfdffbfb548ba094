/** Worker threads with a pool each. */
import { expect } from "chai";
import { startExample } from "../support/example.ts";
import { useOrders } from "../support/example-orders.ts";
import { lockTable } from "../support/table-lock.ts";

const main = new URL("../../examples/worker-threads/main.ts", import.meta.url);

describe("the example of worker threads", () => {
	const orders = useOrders();

	it("on SIGTERM has the threads finish, and ends with no session left", async () => {
		const lock = await lockTable("example_orders");
		const example = startExample(main, { env: { THREADS: "2", SHUTDOWN_MILLIS: "10000" } });
		await lock.waiters(2);

		example.kill("SIGTERM");
		await example.said(/shuts down: SIGTERM/);
		await lock.release();

		const ending = await example.ended;
		expect(ending, example.output()).to.include({ exitCode: 0 });
		expect(ending.millis).to.be.lessThan(8_000);
		expect(example.output())
			.to.match(/\n\d+ orders done by 2 threads/)
			.and.not.match(/still at work|Error/);
		await example.leftNothing();
		expect((await orders()).workers).to.equal(2);
	});

	it("ends threads that do not come to an end, and the server rolls back", async () => {
		const lock = await lockTable("example_orders");
		const example = startExample(main, { env: { THREADS: "2", SHUTDOWN_MILLIS: "100" } });
		await lock.waiters(2);

		example.kill("SIGTERM");
		expect(await example.ended, example.output()).to.include({ exitCode: 0 });
		await lock.release();

		await example.leftNothing();
		expect(await orders()).to.deep.equal({ count: 0, workers: 0 });
	});

	it("on SIGTERM loses what the threads are doing without its shutdown", async () => {
		const lock = await lockTable("example_orders");
		const example = startExample(main, { withoutShutdown: true, env: { THREADS: "2" } });
		await lock.waiters(2);

		example.kill("SIGTERM");
		expect(await example.ended).to.include({ signal: "SIGTERM" });
		await lock.release();

		await example.leftNothing();
		expect(await orders()).to.deep.equal({ count: 0, workers: 0 });
	});

	it("has one process in all threads, each of which looks after its own pool", async () => {
		const example = startExample(main, { env: { THREADS: "2" } });
		await example.said(/(thread \d: pid (\d+), ppid (\d+), generation 0\s+)(thread \d: pid \2, ppid \3, generation 0\s+)/);
	});
});
