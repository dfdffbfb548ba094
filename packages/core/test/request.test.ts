import { tracingChannel } from "node:diagnostics_channel";
import { expect } from "chai";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { PoolClosedError, ProcessChangedError, QueueFullError, reportProcessChange } from "../src/index.ts";
import { at } from "./support/at.ts";
import type { Connection } from "./support/gated-driver.ts";
import { acquireMany, setUp, setUpIdle } from "./support/set-up.ts";

describe("a request", () => {
	it("takes an idle connection, and opens one when there is none", async () => {
		const { pool, idle } = await setUpIdle(1);
		expect(await pool.request().promise).to.equal(idle[0]);
		expect(await pool.request().promise).not.to.equal(idle[0]);
		expect(pool.stats()).to.include({ used: 2, pending: 0 });
	});

	it("stands in line with acquires, and never times out", async () => {
		const { pool, clock } = setUp({ max: 1, acquireTimeoutMillis: 100 });
		const held = await pool.acquire();
		const request = follow(pool.request().promise);
		const acquire = follow(pool.acquire({ timeoutMillis: 0 }));
		await clock.advance(1_000_000);
		pool.release(held);
		await settle();
		expect([request.state, acquire.state]).to.deep.equal(["fulfilled", "pending"]);
	});

	it("leaves the queue at once when it is abandoned, and rejects with the reason", async () => {
		const { pool } = setUp({ max: 1 });
		const held = await pool.acquire();
		const requests = [pool.request(), pool.request(), pool.request()];
		const outcomes = requests.map(({ promise }) => follow(promise));
		const reason = new Error("no longer");
		at(requests, 1).abandon(reason);
		expect(pool.stats().pending).to.equal(2);
		pool.release(held);
		await settle();
		expect(outcomes.map(({ state }) => state)).to.deep.equal(["fulfilled", "rejected", "pending"]);
		expect(at(outcomes, 1).reason).to.equal(reason);
	});

	it("lets the connect go on for others when it is abandoned", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const request = pool.request();
		follow(request.promise);
		request.abandon(new Error("no longer"));
		at(driver.connects, 0).open();
		await settle();
		expect(pool.stats()).to.include({ idle: 1, total: 1 });
	});

	it("changes nothing when it is abandoned after it was settled", async () => {
		const { pool } = setUp({ max: 1 });
		const granted = pool.request();
		const connection = await granted.promise;
		const abandoned = pool.request();
		const outcome = follow(abandoned.promise);
		for (const request of [granted, abandoned, abandoned]) request.abandon(new Error("no longer"));
		expect(pool.stats()).to.include({ used: 1, pending: 0 });
		pool.release(connection);
		await settle();
		expect(outcome.state).to.equal("rejected");
		expect(pool.stats()).to.include({ idle: 1, used: 0 });
	});

	it("is refused by a pool that is closed, or whose queue is full", async () => {
		const { pool } = setUp({ max: 1, maxPending: 1 });
		await acquireMany(pool, 1);
		const waiting = follow(pool.request().promise);
		expect(await rejection(pool.request().promise)).to.be.instanceOf(QueueFullError);
		await pool.close();
		expect(waiting.reason).to.be.instanceOf(PoolClosedError);
		expect(await rejection(pool.request().promise)).to.be.instanceOf(PoolClosedError);
	});

	it("rejects when the process changes while it waits", async () => {
		const { pool } = setUp({ max: 1 });
		await pool.acquire();
		const waiting = follow(pool.request().promise);
		reportProcessChange();
		await settle();
		expect(waiting.reason).to.be.instanceOf(ProcessChangedError);
	});

	it("is traced as an acquire", async () => {
		const { pool } = setUp();
		const steps: string[] = [];
		const subscribers = Object.fromEntries(
			["start", "end", "asyncStart", "asyncEnd", "error"].map((step) => [step, () => steps.push(step)]),
		);
		const channel = tracingChannel<unknown, { pool: unknown; result?: Connection }>("forksafe:pool:acquire");
		channel.subscribe(subscribers as never);
		await pool.request().promise;
		channel.unsubscribe(subscribers as never);
		expect(steps).to.deep.equal(["start", "end", "asyncStart", "asyncEnd"]);
	});
});
