import { inspect } from "node:util";
import { OptionError, type ProcessChange, QueueFullError } from "@forksafe/core";
import { expect } from "chai";
import type { Knex } from "knex";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection, settle, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { backendOf, destroyAll, hold, open, poolOf, serverConnection, sessions } from "./support/database.ts";

const notWholeNumbers = [-1, 1.5, Number.NaN, "1", null, true];
const notDurations = [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "1", null, true];
const bad: Record<string, readonly unknown[]> = {
	min: notWholeNumbers,
	max: [...notWholeNumbers, 0],
	maxPending: notWholeNumbers,
	acquireTimeoutMillis: [-1, Number.NaN, "soon", {}],
	createTimeoutMillis: notDurations,
	destroyTimeoutMillis: notDurations,
	idleTimeoutMillis: notDurations,
	reapIntervalMillis: [...notDurations, 0],
	createRetryIntervalMillis: notDurations,
	processWatch: ["sometimes", true, null],
	onProcessChange: ["log it", null, {}],
	log: [true, null, {}],
	name: [5, null],
	maxx: [5],
	maxWaitingClients: [5],
	afterCreate: [null, "select 1"],
	validate: [null, true],
	maxConnectionLifetimeMillis: notDurations,
	maxConnectionLifetimeJitterMillis: notDurations,
};

describe("pool options", () => {
	afterEach(destroyAll);

	for (const [option, values] of Object.entries(bad)) {
		for (const value of values) {
			it(`refuses ${option}: ${inspect(value)}`, async () => {
				const error = await refused({ [option]: value } as Knex.PoolConfig);
				expect(error).to.include({ code: "ERR_FORKSAFE_OPTION", option });
				// Knex takes the lesser of two time-outs, and with it what is no number becomes NaN.
				const isNumber = option !== "acquireTimeoutMillis" || typeof value === "number";
				expect(error.value).to.satisfy((kept: unknown) => Object.is(kept, isNumber ? value : Number.NaN));
				expect(error.message).to.include(`option ${option} (`);
			});
		}
	}

	it("refuses a min above max, Knex's own min of 2 included", async () => {
		expect(await refused({ min: 5, max: 4 })).to.include({ option: "min", value: 5 });
		expect(await refused({ max: 1 })).to.include({ option: "min", value: 2 });
	});

	it("refuses a negative acquireConnectionTimeout of Knex's own", () => {
		expect(thrown(() => open({ acquireConnectionTimeout: -1 })))
			.to.be.instanceOf(OptionError)
			.and.to.include({ option: "acquireTimeoutMillis", value: -1 });
	});

	it("names the option that a misspelt one looks like", async () => {
		expect((await refused({ maxPendng: 5 } as Knex.PoolConfig)).message).to.include("did you mean maxPending?");
	});

	it("never prints a text that could be a secret", async () => {
		const secret = "correct horse battery staple";
		const places = [
			{ password: secret },
			{ connection: { password: secret } },
			{ connectionString: `postgres://u:${secret}@h/d` },
		];
		for (const pool of places as Knex.PoolConfig[]) {
			const error = await refused(pool);
			for (const text of [error.message, String(error), error.stack, inspect(error), JSON.stringify(error)]) {
				expect(text).not.to.include("horse");
			}
		}
	});

	it("takes everything that Knex and forksafe document, without a cast", async () => {
		const pool = {
			name: "main",
			min: 0,
			max: 3,
			acquireTimeoutMillis: 5_000,
			createTimeoutMillis: 5_000,
			destroyTimeoutMillis: 5_000,
			idleTimeoutMillis: 5_000,
			reapIntervalMillis: 500,
			createRetryIntervalMillis: 100,
			propagateCreateError: false,
			maxConnectionLifetimeMillis: 60_000,
			maxConnectionLifetimeJitterMillis: 1_000,
			validate: () => true,
			afterCreate: (_connection: unknown, done: () => void) => done(),
			log: () => {},
			maxPending: 5,
			processWatch: "once",
			onProcessChange: (change) => void change.previousPid,
		} satisfies Knex.PoolConfig;
		const { db, name } = open({ pool });
		expect(await backendOf(db)).to.be.a("number");
		expect(await sessions(name)).to.equal(1);
	});

	it("lets so many wait as maxPending says, and no more", async () => {
		const { db } = open({ pool: { min: 0, max: 1, maxPending: 1 } });
		const held = await hold(db);
		const waiting = backendOf(db);
		await untilTrue(() => poolOf(db).numPendingAcquires() === 1, { what: "one waits" });
		const error = await rejection(backendOf(db));
		expect(error).to.be.instanceOf(QueueFullError).and.to.include({ code: "ERR_FORKSAFE_QUEUE_FULL" });
		await db.client.releaseConnection(held);
		expect(await waiting).to.equal(held.processID);
	});

	it("tells onProcessChange once, and log too", async () => {
		const changes: ProcessChange[] = [];
		const lines: unknown[][] = [];
		const pool: Knex.PoolConfig = {
			name: "main",
			onProcessChange: (change) => changes.push(change),
			log: (...line) => lines.push(line),
		};
		const { db } = open({ pool });
		await backendOf(db);
		const change = pretendFork();
		await backendOf(db);
		expect(changes).to.deep.equal([change]);
		expect(lines).to.have.lengthOf(1);
		expect(lines[0]?.[0]).to.match(/^forksafe: main starts afresh: pid /);
		expect(lines[0]?.[1]).to.equal("warn");
	});

	describe("processWatch", () => {
		const kernel = new FakeProcess();
		afterEach(() => kernel.restore());

		/** The sessions that answer before a fork that nobody tells, after it, and after another one. */
		async function backendsOver(processWatch: "always" | "once" | "off"): Promise<number[]> {
			const { db } = open({ pool: { min: 0, max: 1, processWatch, idleTimeoutMillis: 0, reapIntervalMillis: 60_000 } });
			const backends = [await backendOf(db)];
			kernel.fork(process.pid + 1, process.pid);
			backends.push(await backendOf(db));
			kernel.fork(process.pid + 2, process.pid + 1);
			backends.push(await backendOf(db));
			return backends;
		}

		it("notices every fork when it is always, or not given", async () => {
			expect(new Set(await backendsOver("always"))).to.have.property("size", 3);
		});

		it("notices the first fork and no other when it is once", async () => {
			const [first, second, third] = await backendsOver("once");
			expect(second).not.to.equal(first);
			expect(third).to.equal(second);
		});

		it("notices nothing when it is off", async () => {
			expect(new Set(await backendsOver("off"))).to.have.property("size", 1);
		});
	});
});

/** What `knex()` throws; and that nothing was opened before it did. */
async function refused(pool: Knex.PoolConfig): Promise<OptionError> {
	let asked = 0;
	const connection = (): Knex.PgConnectionConfig => {
		asked++;
		return serverConnection();
	};
	const error = thrown(() => open({ connection, pool }));
	if (!(error instanceof OptionError)) throw error;
	await settle();
	expect(asked).to.equal(0);
	return error;
}
