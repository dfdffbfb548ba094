import { expect } from "chai";
import fc from "fast-check";
import { rejection, thrown } from "../../../test/support/promises.ts";
import { Waiter, WaitQueue } from "../src/wait-queue.ts";
import { at } from "./support/at.ts";

describe("wait queue", () => {
	it("gives out who has waited longest", () => {
		const queue = new WaitQueue<Waiter<number>>();
		const waiters = [1, 2, 3].map((since) => new Waiter<number>(since, 0));
		for (const waiter of waiters) queue.push(waiter);
		expect(queue.size).to.equal(3);
		expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()]).to.deep.equal([...waiters, undefined]);
		expect(queue.size).to.equal(0);
	});

	for (const [place, index] of [
		["the front", 0],
		["the middle", 1],
		["the end", 2],
	] as const) {
		it(`lets somebody leave from ${place}`, () => {
			const queue = new WaitQueue<Waiter<number>>();
			const waiters = [1, 2, 3].map((since) => new Waiter<number>(since, 0));
			for (const waiter of waiters) queue.push(waiter);
			queue.remove(at(waiters, index));
			expect(queue.size).to.equal(2);
			expect([queue.shift(), queue.shift(), queue.shift()]).to.deep.equal([...waiters.toSpliced(index, 1), undefined]);
		});
	}

	it("can be used again after it was empty", () => {
		const queue = new WaitQueue<Waiter<number>>();
		queue.push(new Waiter(1, 0));
		queue.shift();
		const waiter = new Waiter<number>(2, 0);
		queue.push(waiter);
		expect(queue.shift()).to.equal(waiter);
	});

	it("keeps no link to those who have left", () => {
		const queue = new WaitQueue<Waiter<number>>();
		const waiters = [1, 2, 3].map((since) => new Waiter<number>(since, 0));
		for (const waiter of waiters) queue.push(waiter);
		queue.remove(at(waiters, 1));
		queue.shift();
		for (const waiter of waiters.slice(0, 2)) expect(waiter).to.include({ previous: undefined, next: undefined });
	});

	it("lets somebody in at the front", () => {
		const queue = new WaitQueue<Waiter<number>>();
		const waiters = [1, 2, 3].map((since) => new Waiter<number>(since, 0));
		for (const waiter of waiters.toReversed()) queue.unshift(waiter);
		expect(queue.first).to.equal(waiters[0]);
		expect([...queue]).to.deep.equal(waiters);
	});

	it("behaves like a list, whatever the order of joining, serving and leaving", () => {
		const named = fc.constantFrom("push" as const, "unshift" as const, "shift" as const);
		const step = fc.oneof({ arbitrary: named, weight: 2 }, fc.nat({ max: 20 }));
		fc.assert(
			fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
				const queue = new WaitQueue<Waiter<number>>();
				const list: Waiter<number>[] = [];
				for (const [since, what] of steps.entries()) {
					if (what === "push" || what === "unshift") {
						const waiter = new Waiter<number>(since, 0);
						queue[what](waiter);
						list[what](waiter);
					} else if (what === "shift") {
						expect(queue.shift()).to.equal(list.shift());
					} else if (list.length > 0) {
						const [leaving] = list.splice(what % list.length, 1);
						queue.remove(leaving as Waiter<number>);
					}
					expect(queue.size).to.equal(list.length);
					expect(queue.first).to.equal(list[0]);
				}
				expect([...queue]).to.deep.equal(list);
				for (const waiter of list) expect(queue.shift()).to.equal(waiter);
				expect(queue.shift()).to.equal(undefined);
			}),
		);
	});
});

describe("waiter", () => {
	it("is granted a connection, and stops watching the clock and the signal", async () => {
		const waiter = new Waiter<number>(0, 0);
		let stopped = 0;
		waiter.stopWatching = () => stopped++;
		waiter.grant(7);
		expect(await waiter.promise).to.equal(7);
		expect(waiter.state).to.equal("granted");
		expect(stopped).to.equal(1);
	});

	for (const state of ["timed out", "aborted", "rejected"] as const) {
		it(`is ${state} with the reason given`, async () => {
			const waiter = new Waiter<number>(0, 0);
			let stopped = 0;
			waiter.stopWatching = () => stopped++;
			const reason = new Error("no");
			waiter.fail(state, reason);
			expect(await rejection(waiter.promise)).to.equal(reason);
			expect(waiter.state).to.equal(state);
			expect(stopped).to.equal(1);
		});
	}

	it("is settled once", () => {
		const waiter = new Waiter<number>(0, 0);
		waiter.grant(7);
		for (const again of [() => waiter.grant(8), () => waiter.fail("aborted", new Error("no"))]) {
			expect(thrown(again)).to.be.instanceOf(Error).with.property("message").that.includes("bug: ");
		}
	});
});
