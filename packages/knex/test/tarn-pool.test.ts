import { AcquireTimeoutError, OptionError, type ProcessChange, ProcessChangedError, reportProcessChange } from "@forksafe/core";
import { expect } from "chai";
import { Pool as Tarn, TimeoutError } from "tarn";
import { follow, rejection, settle, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { TarnPool, type TarnPoolOptions } from "../src/index.ts";

/** Counts what becomes of it. */
class Thing {
	discarded: ProcessChange[] = [];

	discard(change: ProcessChange): void {
		this.discarded.push(change);
	}
}

function make(options: Partial<TarnPoolOptions<Thing>> = {}): { pool: TarnPool<Thing>; destroyed: Thing[] } {
	const destroyed: Thing[] = [];
	const destroy = (thing: Thing): void => void destroyed.push(thing);
	return { pool: new TarnPool<Thing>({ create: () => new Thing(), destroy, min: 0, max: 1, ...options }), destroyed };
}

describe("TarnPool", () => {
	it("is a pool of tarn", () => {
		expect(make().pool).to.be.instanceOf(Tarn);
		expect(make({ min: 1, max: 5 }).pool).to.include({ min: 1, max: 5 });
	});

	it("refuses options that tarn would refuse, and names them", () => {
		const bad: Record<string, unknown> = {
			create: undefined,
			destroy: 5,
			validate: 5,
			discard: null,
			log: {},
			fifo: true,
			max: 0,
			min: undefined,
			propagateCreateError: "no",
		};
		for (const [option, value] of Object.entries(bad)) {
			const error = thrown(() => make({ [option]: value }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option, value });
		}
	});

	it("rejects with tarn's TimeoutError, whose cause has the numbers", async () => {
		const { pool } = make({ acquireTimeoutMillis: 10 });
		await pool.acquire().promise;
		const error = (await rejection(pool.acquire().promise)) as Error;
		expect(error).to.be.instanceOf(TimeoutError);
		expect(error.cause).to.be.instanceOf(AcquireTimeoutError).and.to.include({ phase: "wait" });
	});

	it("rejects with tarn's TimeoutError when a create takes too long", async () => {
		const create = (): Promise<Thing> => new Promise(() => {});
		const { pool } = make({ create, propagateCreateError: true, createTimeoutMillis: 10, destroyTimeoutMillis: 1 });
		expect(await rejection(pool.acquire().promise)).to.be.instanceOf(TimeoutError);
	});

	for (const [end, whatEnds] of [
		["a process change", () => reportProcessChange()],
		["destroy", (pool: TarnPool<Thing>) => pool.destroy()],
	] as const) {
		it(`tries no more to create after ${end}`, async () => {
			let tried = 0;
			const signals: AbortSignal[] = [];
			const create = (_: unknown, signal: AbortSignal): never => {
				tried++;
				signals.push(signal);
				throw new Error("not yet");
			};
			const { pool } = make({ create, propagateCreateError: false, createRetryIntervalMillis: 1 });
			const waiting = follow(pool.acquire().promise);
			await untilTrue(() => tried > 1, { what: "it was tried twice" });
			void whatEnds(pool);
			const before = tried;
			await untilTrue(() => waiting.state === "rejected", { what: "the acquire was rejected" });
			await new Promise((resolve) => setTimeout(resolve, 20));
			expect(tried).to.equal(before);
			expect(signals.at(-1)?.aborted).to.equal(true);
		});
	}

	describe("after a process change", () => {
		it("creates anew, discards what it had, destroys nothing, and keeps its listeners", async () => {
			const { pool, destroyed } = make({ max: 2 });
			const events: string[] = [];
			pool.on("createSuccess", () => events.push("createSuccess"));
			pool.on("destroyRequest", () => events.push("destroyRequest"));
			const [idle, used] = [await pool.acquire().promise, await pool.acquire().promise];
			pool.release(idle);
			const change = reportProcessChange();
			expect([idle.discarded, used.discarded]).to.deep.equal([[change], [change]]);
			expect(pool.isEmpty()).to.equal(true);
			expect(await pool.acquire().promise).not.to.be.oneOf([idle, used]);
			expect(destroyed).to.deep.equal([]);
			expect(events).to.deep.equal(["createSuccess", "createSuccess", "createSuccess"]);
		});

		it("discards by the function given", async () => {
			const discarded: unknown[] = [];
			const { pool } = make({ discard: (...seen) => void discarded.push(seen) });
			const thing = await pool.acquire().promise;
			const change = reportProcessChange();
			expect(discarded).to.deep.equal([[thing, change]]);
			expect(thing.discarded).to.deep.equal([]);
		});

		it("has rejected who waited, and told acquireFail", async () => {
			const { pool } = make();
			await pool.acquire().promise;
			const failed: unknown[] = [];
			pool.on("acquireFail", (_id, error) => failed.push(error));
			const waiting = follow(pool.acquire().promise);
			reportProcessChange();
			await settle();
			expect(waiting.reason).to.be.instanceOf(ProcessChangedError);
			expect(failed).to.deep.equal([waiting.reason]);
		});

		it("takes back what was inherited without putting it in", async () => {
			const { pool, destroyed } = make();
			const inherited = await pool.acquire().promise;
			reportProcessChange();
			pool.release(inherited);
			expect(pool.numFree()).to.equal(0);
			const thing = await pool.acquire().promise;
			pool.release(inherited);
			expect(pool.numUsed()).to.equal(1);
			expect(thing).not.to.equal(inherited);
			expect(destroyed).to.deep.equal([]);
		});

		it("keeps nothing that was inherited, also when it was released", async () => {
			const { pool } = make();
			const inherited: WeakRef<Thing> = new WeakRef(await pool.acquire().promise);
			await settle(); // a WeakRef keeps its target until then
			releaseInherited(pool, inherited);
			const isCollected = (): boolean => {
				globalThis.gc?.();
				return inherited.deref() === undefined;
			};
			await untilTrue(isCollected, { what: "it was collected" });
			expect(pool.isEmpty()).to.equal(true);
		});

		it("has rejected whose resource was being validated, and takes no verdict any more", async () => {
			const verdict = Promise.withResolvers<boolean>();
			const { pool, destroyed } = make({ validate: () => verdict.promise });
			const first = await pool.acquire().promise;
			await settle();
			pool.release(first);
			const waiting = follow(pool.acquire().promise);
			await settle();
			expect(pool.numPendingValidations()).to.equal(1);
			reportProcessChange();
			await settle();
			expect(waiting.reason).to.be.instanceOf(ProcessChangedError);
			verdict.resolve(false);
			await settle();
			expect(destroyed).to.deep.equal([]);
			expect(pool.isEmpty()).to.equal(true);
		});

		it("stops reaping, and starts again with the next resource", async () => {
			const { pool } = make();
			const events: string[] = [];
			for (const event of ["startReaping", "stopReaping"] as const)
				pool.on(event as "startReaping", () => void events.push(event));
			await pool.acquire().promise;
			reportProcessChange();
			await pool.acquire().promise;
			expect(events).to.deep.equal(["startReaping", "stopReaping", "startReaping"]);
		});
	});
});

/** In a function of its own, so that no variable keeps the resource. */
function releaseInherited(pool: TarnPool<Thing>, inherited: WeakRef<Thing>): void {
	reportProcessChange();
	const thing = inherited.deref();
	if (thing === undefined) throw new Error("it was collected too early");
	expect(pool.release(thing)).to.equal(true);
}
