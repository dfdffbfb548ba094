import { channel } from "node:diagnostics_channel";
import { expect } from "chai";
import { type Leak, reportProcessChange } from "../src/index.ts";
import type { Connection } from "./support/gated-driver.ts";
import { type SetUp, setUp } from "./support/set-up.ts";

function setUpWatched(): SetUp & { leaks: Leak<Connection>[]; lines: string[] } {
	const lines: string[] = [];
	const built = setUp({ leakThresholdMillis: 5_000, log: (line) => lines.push(line) });
	const leaks: Leak<Connection>[] = [];
	built.pool.on("leak", (leak) => leaks.push(leak));
	return { ...built, leaks, lines };
}

describe("leak detection", () => {
	it("reports a connection that is held too long, once, with who acquired it and for how long", async () => {
		const { pool, clock, leaks, lines } = setUpWatched();
		const published: unknown[] = [];
		const onMessage = (message: unknown): void => void published.push(message);
		channel("forksafe:connection:leak").subscribe(onMessage);
		const resource = await (async function forgetful() {
			return pool.acquire();
		})();
		await clock.advance(4_900);
		expect(leaks).to.have.lengthOf(0);
		await clock.advance(60_000);
		channel("forksafe:connection:leak").unsubscribe(onMessage);
		expect(leaks).to.have.lengthOf(1);
		const [leak] = leaks;
		expect(leak).to.include({ resource });
		expect(leak?.heldMillis).to.be.within(5_000, 6_000);
		expect(leak?.stack).to.match(/^ +at forgetful /);
		expect(lines).to.have.lengthOf(1);
		expect(lines[0]).to.match(/held for 5\d\d\d ms; acquired\n +at forgetful /);
		expect(published).to.deep.equal([{ pool, ...leak }]);
	});

	it("reports nothing that came back in time, and the next holder anew", async () => {
		const { pool, clock, leaks } = setUpWatched();
		pool.release(await pool.acquire());
		await clock.advance(4_000);
		const held = await pool.acquire();
		await clock.advance(4_000);
		pool.release(held);
		await clock.advance(2_000);
		expect(leaks).to.have.lengthOf(0);
		await pool.acquire();
		await clock.advance(6_000);
		expect(leaks).to.have.lengthOf(1);
	});

	it("reports those who had to wait, from when they were served", async () => {
		const { pool, clock, leaks } = setUpWatched();
		const held = await Promise.all(Array.from({ length: 10 }, () => pool.acquire()));
		const waiting = pool.acquire({ timeoutMillis: 0 });
		await clock.advance(4_000);
		pool.release(held[0] as Connection);
		const late = await waiting;
		await clock.advance(2_000);
		expect(leaks.map(({ resource }) => resource)).to.not.include(late);
		await clock.advance(4_000);
		expect(leaks.map(({ resource }) => resource)).to.include(late);
	});

	it("reports what was requested for somebody else when that one is named, and from then on", async () => {
		const { pool, clock, leaks } = setUpWatched();
		const resource = await pool.request().promise;
		await clock.advance(10_000);
		expect(leaks).to.have.lengthOf(0);
		pool.watchHolder(
			resource,
			(function forgetful() {
				return new Error("acquired");
			})(),
		);
		await clock.advance(4_000);
		expect(leaks).to.have.lengthOf(0);
		await clock.advance(10_000);
		expect(leaks).to.have.lengthOf(1);
		expect(leaks[0]?.stack).to.match(/^ +at forgetful /);
	});

	it("reports nobody for what the next one holds, who is not named yet", async () => {
		const { pool, clock, leaks } = setUpWatched();
		const resource = await pool.request().promise;
		pool.watchHolder(resource, new Error("acquired"));
		await clock.advance(4_500);
		pool.release(resource);
		expect(await pool.request().promise).to.equal(resource);
		await clock.advance(10_000);
		expect(leaks).to.have.lengthOf(0);
	});

	it("names nobody for what has come back meanwhile", async () => {
		const { pool, clock, leaks } = setUpWatched();
		const resource = await pool.request().promise;
		pool.release(resource);
		pool.watchHolder(resource, new Error("acquired"));
		expect(await pool.request().promise).to.equal(resource);
		await clock.advance(60_000);
		expect(leaks).to.have.lengthOf(0);
	});

	it("reports nothing of another process", async () => {
		const { pool, clock, leaks } = setUpWatched();
		await pool.acquire();
		reportProcessChange();
		pool.release(await pool.acquire());
		await clock.advance(60_000);
		expect(leaks).to.have.lengthOf(0);
	});

	it("is off by default", async () => {
		const { pool, clock } = setUp();
		pool.on("leak", () => expect.fail("nobody asked for it"));
		await pool.acquire();
		await clock.advance(1_000_000);
	});
});
