import process from "node:process";
import { type Driver, Pool, type PoolOptions } from "@forksafe/core";
import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { type Budget, type BudgetOptions, connectionBudget, connectionPermits } from "../src/index.ts";

/** Counts what is open. */
class Counter implements Driver<object> {
	open = 0;
	most = 0;

	async connect(): Promise<object> {
		this.open++;
		this.most = Math.max(this.most, this.open);
		return {};
	}

	isAlive(): boolean {
		return true;
	}

	async destroy(): Promise<void> {
		this.open--;
	}

	discard(): void {}
}

describe("a budget, in the process that serves it", () => {
	let budget: Budget | undefined;
	const pools: Pool<object>[] = [];
	const driver = new Counter();

	function open(options: PoolOptions = {}): Pool<object> {
		const pool = new Pool(driver, { max: 10, permits: connectionPermits(), ...options });
		pools.push(pool);
		return pool;
	}

	beforeEach(() => {
		driver.most = driver.open;
	});
	afterEach(async () => {
		await Promise.all(pools.splice(0).map((pool) => pool.close()));
		budget?.close();
		budget = undefined;
	});

	it("is shared by several pools", async () => {
		budget = connectionBudget({ total: 7, reserve: 1 });
		const [writer, reader] = [open(), open()];
		const work = async (pool: Pool<object>): Promise<void> =>
			pool.use(() => new Promise((resolve) => void setImmediate(resolve)));
		await Promise.all(Array.from({ length: 400 }, (_, index) => work(index % 2 === 0 ? writer : reader)));
		expect(driver.most).to.equal(6);
		expect(budget.stats()).to.include({ total: 7, reserve: 1, processes: 1, held: 6, waiting: 0 });
	});

	it("gets back what nobody needs, a moment later", async () => {
		budget = connectionBudget({ total: 4 });
		const pool = open();
		pool.release(await pool.acquire(), { destroy: true });
		expect(budget.stats().held).to.equal(1);
		await untilTrue(() => budget?.stats().held === 0, { what: "the permit has come back" });
	});

	it("gives nobody a permit who does not wait any more", async () => {
		budget = connectionBudget({ total: 1 });
		const pool = open();
		const held = await pool.acquire();
		await pool.acquire({ timeoutMillis: 10 }).catch(() => {});
		expect(budget.stats().waiting).to.equal(0);
		pool.release(held);
		expect(pool.stats()).to.include({ idle: 1, total: 1 });
	});

	const refused: [options: unknown, option: string][] = [
		[{}, "total"],
		[{ total: 0 }, "total"],
		[{ total: 10, reserve: 10 }, "reserve"],
		[{ total: 10, reserve: -1 }, "reserve"],
		[{ total: 10, max: 5 }, "max"],
	];
	for (const [options, option] of refused) {
		it(`refuses ${JSON.stringify(options)}`, () => {
			expect(thrown(() => connectionBudget(options as BudgetOptions))).to.include({ code: "ERR_FORKSAFE_OPTION", option });
		});
	}

	it("cannot be served twice at a time", () => {
		budget = connectionBudget({ total: 10 });
		expect(thrown(() => connectionBudget({ total: 10 })).message).to.include("close() the other budget first");
	});

	it("has to be there before anybody asks for permits", () => {
		expect(process.env["FORKSAFE_BUDGET"]).to.equal(undefined);
		expect(thrown(() => connectionPermits()))
			.to.include({ code: "ERR_FORKSAFE_OPTION" })
			.with.property("message")
			.that.includes("call connectionBudget({ total }) in the primary");
	});
});
