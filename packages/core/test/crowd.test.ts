import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import { untilTrue } from "../../../test/support/until-true.ts";
import { systemClock } from "../src/clock.ts";
import { AcquireTimeoutError } from "../src/index.ts";
import { acquireMany, setUp } from "./support/set-up.ts";

const crowd = 5_000;
/** So many of them give up between two turns of the event loop; some of the harness's own are between them. */
const most = 600;

/** How many gave up in each turn of the event loop, where they did. */
async function countByTurn(gaveUp: Promise<unknown>[]): Promise<number[]> {
	let count = 0;
	for (const one of gaveUp) void one.then(() => count++);
	const turns: number[] = [];
	for (let seen = 0; seen < gaveUp.length; ) {
		await setImmediate();
		if (count > seen) turns.push(count - seen);
		seen = count;
	}
	return turns;
}

describe("thousands whose time is up at once", () => {
	for (const [what, timeoutMillis] of [
		["the pool's time-out", undefined],
		["a time-out of their own", 50],
	] as const) {
		it(`give up some hundred at a time, with ${what}, in the order in which they came`, async () => {
			const { pool } = setUp({ max: 1, clock: systemClock, acquireTimeoutMillis: 40 });
			await acquireMany(pool, 1);
			const order: number[] = [];
			const reasons: unknown[] = [];
			const gaveUp = Array.from({ length: crowd }, (_, number) =>
				pool.acquire(timeoutMillis === undefined ? undefined : { timeoutMillis }).catch((reason: unknown) => {
					order.push(number);
					reasons.push(reason);
				}),
			);
			const turns = await countByTurn(gaveUp);
			expect(Math.max(...turns)).to.be.at.most(most);
			expect(order).to.deep.equal(Array.from({ length: crowd }, (_, number) => number));
			expect(reasons.every((reason) => reason instanceof AcquireTimeoutError)).to.equal(true);
			expect(pool.stats().pending).to.equal(0);
		});
	}

	it("do not, when they are served before it is their turn", async () => {
		const { pool } = setUp({ max: 1, clock: systemClock });
		const [held] = await acquireMany(pool, 1);
		const waiters = Array.from({ length: crowd }, () => pool.acquire({ timeoutMillis: 30 }));
		const outcomes = Promise.allSettled(waiters);
		await Promise.allSettled(waiters.slice(0, 1));
		if (held !== undefined) pool.release(held);
		for (const waiter of waiters) waiter.then((connection) => pool.release(connection)).catch(() => {});
		const settled = await outcomes;
		expect(settled.filter(({ status }) => status === "fulfilled")).to.have.length.greaterThan(0);
		expect(pool.stats()).to.include({ pending: 0, used: 0, idle: 1 });
	});

	it("do not, when they are stopped before it is their turn", async () => {
		const { pool } = setUp({ clock: systemClock });
		const expired: number[] = [];
		const stops: (() => void)[] = [];
		for (let number = 0; number < 2 * most; number++) {
			const onExpire = (): void => {
				expired.push(number);
				// Not in the first turn: by now the timer of the last one has fired, too.
				if (number === most) stops.at(-1)?.();
			};
			stops.push(pool.startDeadline(10, onExpire));
		}
		// Until all are due: their timers fire together.
		for (const start = performance.now(); performance.now() - start < 30; );
		await untilTrue(() => expired.length >= 2 * most - 1, { what: "the others' time is up" });
		await setImmediate();
		expect(expired).to.deep.equal(Array.from({ length: 2 * most - 1 }, (_, number) => number));
	});
});
