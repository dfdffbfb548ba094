/** https://kysely.dev/docs/recipes/abort-signals: Kysely 0.29 and later. What a forked child cancels: test/integration/forked-kysely.test.ts. */
import { Pool, type PoolConfig } from "@forksafe/pg";
import { expect } from "chai";
import { CompiledQuery, type InflightQueryAbortStrategy, type Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import Cursor from "pg-cursor";
import { afterThisTest } from "../../../test/support/after-this-test.ts";
import { countListeners } from "../../../test/support/count-listeners.ts";
import { hasAbortSignals } from "../../../test/support/kysely-version.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { backendOf, destroyAll, open, openOver, poolOptions, sessions, type Tables } from "./support/database.ts";

if (hasAbortSignals) {
	describe("an abort signal", () => {
		afterEach(destroyAll);

		const reason = new Error("nobody wants it any more");

		/** Asks as often, and gives up while all of them wait for the one connection. */
		async function abandon(db: Kysely<Tables>, pool: pg.Pool, count: number): Promise<{ waiting: number; left: number }> {
			const trx = await db.startTransaction().execute();
			const controllers = Array.from({ length: count }, () => new AbortController());
			const queries = controllers.map(({ signal }) => rejection(sql`select 1`.execute(db, { signal })));
			await untilTrue(() => pool.waitingCount >= count, { what: "all of them wait" });
			const waiting = pool.waitingCount;
			for (const controller of controllers) controller.abort(reason);
			const left = pool.waitingCount;
			for (const error of await Promise.all(queries)) expect(error).to.equal(reason);
			expect(pool.waitingCount).to.equal(left);
			await trx.rollback().execute();
			await untilTrue(() => pool.waitingCount === 0, { what: "the queue is empty" });
			return { waiting, left };
		}

		it("takes 10,000 that wait out of the queue at once, and none of them is ever told to the console", async function () {
			this.timeout(60_000);
			const printed = captureErrors();
			const pool = new Pool(poolOptions({ max: 1 }));
			const db = open({ pool });
			expect(await abandon(db, pool, 10_000)).to.deep.equal({ waiting: 10_000, left: 0 });
			const next = await backendOf(db);
			expect(await backendOf(db)).to.equal(next);
			expect(pool).to.include({ totalCount: 1, idleCount: 1 });
			expect(printed).to.deep.equal([]);
		});

		for (const [whose, make] of [
			["pg's pool", (options: PoolConfig) => new pg.Pool(options as pg.PoolConfig)],
			["ours", (options: PoolConfig) => new Pool(options)],
		] as const) {
			it(`leaves every one of them behind with Kysely's own dialect over ${whose}`, async () => {
				const pool = make(poolOptions({ max: 1 }));
				const db = openOver(new PostgresDialect({ pool }));
				expect(await abandon(db, pool, 1_000)).to.deep.equal({ waiting: 1_000, left: 1_000 });
			});
		}

		it("gives up a first connection too, which serves the next", async () => {
			const pool = new Pool(poolOptions({ max: 1 }));
			const db = open({ pool });
			const controller = new AbortController();
			const first = rejection(sql`select 1`.execute(db, { signal: controller.signal }));
			await untilTrue(() => pool.totalCount === 1, { what: "it connects" });
			const next = backendOf(db);
			controller.abort(reason);
			expect(await first).to.equal(reason);
			expect(await next).to.be.a("number");
			expect(pool).to.include({ totalCount: 1, idleCount: 1 });
		});

		it("that was aborted before opens nothing", async () => {
			const pool = new Pool(poolOptions());
			const db = open({ pool });
			const signal = AbortSignal.abort(reason);
			expect(await rejection(sql`select 1`.execute(db, { signal }))).to.equal(reason);
			const driver = db.getExecutor().provideConnection(async () => {}, { signal });
			expect(await rejection(driver)).to.equal(reason);
			expect(pool.totalCount).to.equal(0);
		});

		it("is given to the hooks and to a function that opens the pool, and what a hook was at is given back", async () => {
			const printed = captureErrors();
			const pool = new Pool(poolOptions({ max: 1 }));
			const given: unknown[] = [];
			const started = Promise.withResolvers<void>();
			const goOn = Promise.withResolvers<void>();
			const db = open({
				pool: (options) => {
					given.push(options?.signal);
					return pool;
				},
				onCreateConnection: async (_, options) => {
					given.push(options?.signal);
					started.resolve();
					await goOn.promise;
				},
				onReserveConnection: async (_, options) => void given.push(options?.signal),
			});
			const controller = new AbortController();
			const query = rejection(sql`select 1`.execute(db, { signal: controller.signal }));
			await started.promise;
			controller.abort(reason);
			expect(await query).to.equal(reason);
			expect(pool).to.include({ totalCount: 1, idleCount: 0 });
			goOn.resolve();
			await untilTrue(() => pool.idleCount === 1, { what: "it is given back" });
			expect(await backendOf(db)).to.be.a("number");
			expect(given).to.deep.equal([controller.signal, controller.signal, controller.signal, undefined]);
			expect(printed).to.deep.equal([]);
		});

		it("closes a connection whose hook fails by it, and the next is prepared", async () => {
			const pool = new Pool(poolOptions({ max: 1 }));
			const started = Promise.withResolvers<void>();
			const db = open({
				pool,
				onCreateConnection: async (connection, options) => {
					started.resolve();
					const aborted = new Promise<never>((_, reject) => {
						options?.signal?.addEventListener("abort", () => reject(options.signal?.reason));
					});
					await Promise.race([connection.executeQuery(CompiledQuery.raw("select pg_sleep(0.05)")), aborted]);
				},
			});
			const controller = new AbortController();
			const query = rejection(sql`select 1`.execute(db, { signal: controller.signal }));
			await started.promise;
			controller.abort(reason);
			expect(await query).to.equal(reason);
			await untilTrue(() => pool.totalCount === 0, { what: "it is closed" });
			expect(await backendOf(db)).to.be.a("number");
		});

		it("leaves no listener behind on a signal that lives on", async () => {
			const db = open({ pool: poolOptions({ max: 1 }) });
			const { signal } = new AbortController();
			const listeners = countListeners(signal);
			await Promise.all([1, 2, 3].map(() => sql`select 1`.execute(db, { signal })));
			await settle();
			expect(listeners()).to.equal(0);
		});

		const strategies: Record<InflightQueryAbortStrategy, { goesOn: boolean; backendLives: boolean }> = {
			"ignore query": { goesOn: true, backendLives: true },
			"cancel query": { goesOn: false, backendLives: true },
			"kill session": { goesOn: false, backendLives: false },
		};
		for (const [strategy, { goesOn, backendLives }] of Object.entries(strategies)) {
			it(`ends a query that runs with "${strategy}", and the pool goes on`, async () => {
				const printed = captureErrors();
				const options = poolOptions({ max: 1, maxPending: 9, processWatch: "once", validateAfterIdleMillis: 500 });
				const pool = new Pool(options);
				const db = open({ pool });
				const backend = await backendOf(db);
				const controller = new AbortController();
				const query = follow(
					sql`select pg_sleep(0.5)`.execute(db, {
						signal: controller.signal,
						inflightQueryAbortStrategy: strategy as InflightQueryAbortStrategy,
					}),
				);
				const active = async (): Promise<number> => sessions(options.application_name, "active");
				await untilTrue(async () => (await active()) === 1, { what: "the server is at it" });
				const since = performance.now();
				controller.abort(reason);
				await settle();
				expect(query.reason).to.equal(reason);
				expect((await backendOf(db)) === backend, "the same session").to.equal(backendLives);
				expect(performance.now() - since > 300, "it took the query's time").to.equal(goesOn);
				await untilTrue(async () => (await sessions(options.application_name)) === 1, { what: "the control client has gone" });
				expect(printed.filter((line) => !line.startsWith("`query` failed in the background"))).to.deep.equal([]);
			});
		}

		it("ends a stream, and gives its connection back", async () => {
			const pool = new Pool(poolOptions({ max: 1 }));
			const db = open({ pool, cursor: Cursor });
			const controller = new AbortController();
			let seen = 0;
			const reading = async (): Promise<void> => {
				const rows = db.selectFrom(sql<{ n: number }>`generate_series(1, 1000)`.as<"n">("n")).selectAll();
				for await (const _ of rows.stream({ chunkSize: 10, signal: controller.signal })) {
					if (++seen === 15) controller.abort(reason);
				}
			};
			expect(await rejection(reading())).to.equal(reason);
			expect(seen).to.be.within(15, 20);
			await untilTrue(() => pool.idleCount === 1, { what: "it is given back" });
		});
	});
}

/** What Kysely prints about failures that nobody waits for. */
function captureErrors(): string[] {
	const printed: string[] = [];
	const { error } = console;
	console.error = (line: string) => void printed.push(line);
	afterThisTest(async () => void Object.assign(console, { error }));
	return printed;
}
