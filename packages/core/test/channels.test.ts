import { subscribe, type TracingChannelSubscribers, tracingChannel, unsubscribe } from "node:diagnostics_channel";
import { expect } from "chai";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { type Pool, reportProcessChange } from "../src/index.ts";
import { at } from "./support/at.ts";
import type { Connection } from "./support/gated-driver.ts";
import { setUp, setUpIdle } from "./support/set-up.ts";

type Payload = Record<string, unknown>;

describe("channels", () => {
	let stopListening: (() => void)[] = [];

	afterEach(() => {
		for (const stop of stopListening) stop();
		stopListening = [];
	});

	/** What is published on a channel from now on, about this pool. */
	function published(name: string, pool: Pool<Connection>): Payload[] {
		const payloads: Payload[] = [];
		const listener = (payload: unknown): void => {
			if ((payload as Payload)["pool"] === pool) payloads.push(payload as Payload);
		};
		subscribe(name, listener);
		stopListening.push(() => unsubscribe(name, listener));
		return payloads;
	}

	/** What is traced on a channel from now on, about this pool: the steps, in order, and the context of each. */
	function traced(name: string, pool: Pool<Connection>): { step: string; context: Payload }[] {
		const steps: { step: string; context: Payload }[] = [];
		const note =
			(step: string) =>
			(context: Payload): void => {
				if (context["pool"] === pool) steps.push({ step, context });
			};
		const subscribers = Object.fromEntries(["start", "end", "asyncStart", "asyncEnd", "error"].map((step) => [step, note(step)]));
		const channel = tracingChannel<unknown, Payload>(name);
		channel.subscribe(subscribers as unknown as TracingChannelSubscribers<Payload>);
		stopListening.push(() => channel.unsubscribe(subscribers as unknown as TracingChannelSubscribers<Payload>));
		return steps;
	}

	it("trace an acquire, from the call to the connection", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const steps = traced("forksafe:pool:acquire", pool);
		const acquired = pool.acquire();
		expect(steps.map(({ step }) => step)).to.deep.equal(["start", "end"]);
		at(driver.connects, 0).open();
		const connection = await acquired;
		await settle();
		expect(steps.map(({ step }) => step)).to.deep.equal(["start", "end", "asyncStart", "asyncEnd"]);
		expect(at(steps, 2).context).to.include({ pool, result: connection });
	});

	it("trace an acquire from the idle connections, too", async () => {
		const { pool } = await setUpIdle(1);
		const steps = traced("forksafe:pool:acquire", pool);
		const connection = await pool.acquire();
		await settle();
		expect(at(steps, -1)).to.deep.include({ step: "asyncEnd" });
		expect(at(steps, -1).context["result"]).to.equal(connection);
	});

	it("trace the error of an acquire", async () => {
		const { pool } = setUp();
		await pool.close();
		const steps = traced("forksafe:pool:acquire", pool);
		const error = await rejection(pool.acquire());
		await settle();
		expect(steps.find(({ step }) => step === "error")?.context).to.include({ pool, error });
	});

	it("trace the opening of a connection, and its error", async () => {
		const { pool, driver } = setUp({ stopsAt: ["connect"] });
		const steps = traced("forksafe:connection:create", pool);
		const acquired = pool.acquire();
		const connection = at(driver.connects, 0).open();
		await acquired;
		await settle();
		expect(steps.map(({ step }) => step)).to.deep.equal(["start", "end", "asyncStart", "asyncEnd"]);
		expect(at(steps, 2).context).to.include({ pool, result: connection });

		const failed = rejection(pool.acquire());
		const error = new Error("refused");
		at(driver.connects, 1).fail(error);
		await failed;
		await settle();
		expect(steps.find(({ step }) => step === "error")?.context).to.include({ pool, error });
	});

	it("do not change what acquire and connect do while somebody listens", async () => {
		const { pool } = setUp({ max: 1 });
		traced("forksafe:pool:acquire", pool);
		traced("forksafe:connection:create", pool);
		const held = await pool.acquire();
		const waiter = follow(pool.acquire());
		pool.release(held);
		await settle();
		expect(waiter.value).to.equal(held);
	});

	it("say that a connection came back: { pool, resource }", async () => {
		const { pool } = setUp();
		const payloads = published("forksafe:connection:release", pool);
		const resource = await pool.acquire();
		pool.release(resource);
		const again = await pool.acquire();
		pool.release(again, { destroy: true });
		expect(payloads).to.deep.equal([
			{ pool, resource },
			{ pool, resource },
		]);
	});

	it("say nothing of a release that was refused", async () => {
		const { pool, idle } = await setUpIdle(1);
		const payloads = published("forksafe:connection:release", pool);
		expect(() => pool.release(at(idle, 0))).to.throw();
		expect(payloads).to.deep.equal([]);
	});

	it("say that a connection was ended: { pool, resource, error? }", async () => {
		const { pool, driver } = setUp({ stopsAt: ["destroy"] });
		const payloads = published("forksafe:connection:destroy", pool);
		const [first, second] = [await pool.acquire(), await pool.acquire()];
		for (const resource of [first, second]) pool.release(resource, { destroy: true });
		expect(payloads).to.deep.equal([]);
		const error = new Error("broken pipe");
		at(driver.destroys, 0).succeed();
		at(driver.destroys, 1).fail(error);
		await settle();
		expect(payloads).to.deep.equal([
			{ pool, resource: first, error: undefined },
			{ pool, resource: second, error },
		]);
	});

	it("say that an inherited connection was forgotten: { pool, resource, change }", async () => {
		const { pool } = setUp({ stopsAt: ["connect"] });
		const payloads = published("forksafe:connection:discard", pool);
		const connecting = follow(pool.acquire());
		const change = reportProcessChange();
		expect(payloads).to.deep.equal([{ pool, resource: undefined, change }]);
		await settle();
		expect(connecting.state).to.equal("rejected");

		const { pool: other } = await setUpIdle(2);
		const others = published("forksafe:connection:discard", other);
		const held = await other.acquire();
		const next = reportProcessChange();
		expect(others).to.have.lengthOf(2);
		expect(others.map(({ resource }) => resource)).to.include(held);
		for (const payload of others) expect(payload).to.have.keys("pool", "resource", "change").and.to.include({ change: next });
	});

	it("say that a pool has started afresh, once for each change: { pool, change }", async () => {
		const { pool } = await setUpIdle(1);
		const payloads = published("forksafe:pool:process-change", pool);
		const change = reportProcessChange();
		pool.stats();
		await pool.acquire();
		expect(payloads).to.deep.equal([{ pool, change }]);
	});

	it("say that a pool has closed, once: { pool }", async () => {
		const { pool } = await setUpIdle(1);
		const payloads = published("forksafe:pool:close", pool);
		await pool.drain();
		await pool.close();
		expect(payloads).to.deep.equal([{ pool }]);
	});
});
