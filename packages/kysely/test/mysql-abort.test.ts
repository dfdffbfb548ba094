/** Kysely 0.29 and later, over MySQL and MariaDB. */
import type { Pool } from "@forksafe/mysql2";
import { expect } from "chai";
import { type InflightQueryAbortStrategy, Kysely, MysqlDialect, sql } from "kysely";
import mysql from "mysql2";
import { afterThisTest } from "../../../test/support/after-this-test.ts";
import { hasAbortSignals } from "../../../test/support/kysely-version.ts";
import { forkUnnoticed, pretendFork } from "../../../test/support/pretend-fork.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafeMysqlDialect, type ForkSafeMysqlDialectConfig } from "../src/mysql-dialect.ts";
import { isRunning, open, options, pooled, sessionOf, type Tables } from "./support/mysql.ts";

if (hasAbortSignals) {
	describe("an abort signal, over MariaDB", () => {
		const reason = new Error("nobody wants it any more");

		it("takes all who wait out of the queue at once; with Kysely's own dialect they stay", async () => {
			quiet();
			for (const [make, left] of [
				[(pool: Pool) => new ForkSafeMysqlDialect({ pool }), 0],
				[(pool: Pool) => new MysqlDialect({ pool }), 100],
			] as const) {
				const pool = pooled();
				const db = new Kysely<Tables>({ dialect: make(pool) });
				const trx = await db.startTransaction().execute();
				const controllers = Array.from({ length: 100 }, () => new AbortController());
				const asked = controllers.map(({ signal }) => rejection(sql`select 1`.execute(db, { signal })));
				await untilTrue(() => pool.stats().pending === 100, { what: "all of them wait" });
				for (const controller of controllers) controller.abort(reason);
				expect(pool.stats().pending).to.equal(left);
				for (const error of await Promise.all(asked)) expect(error).to.equal(reason);
				await trx.rollback().execute();
				await untilTrue(() => pool.stats().pending === 0, { what: "the queue is empty" });
				await db.destroy();
			}
		});

		const strategies: Record<Exclude<InflightQueryAbortStrategy, "ignore query">, boolean> = {
			"cancel query": true,
			"kill session": false,
		};
		const ways: [string, () => Partial<ForkSafeMysqlDialectConfig>][] = [
			["a connection of the pool", () => ({ pool: options({ connectionLimit: 2 }) })],
			["a control connection", () => ({ controlConnection: mysql.createConnection })],
		];
		for (const [how, config] of ways) {
			for (const [strategy, lives] of Object.entries(strategies)) {
				it(`ends a query with "${strategy}" by ${how}`, async () => {
					quiet();
					const db = open(config());
					const session = await sessionOf(db);
					const controller = new AbortController();
					const query = follow(
						sql`select sleep(60)`.execute(db, {
							signal: controller.signal,
							inflightQueryAbortStrategy: strategy as InflightQueryAbortStrategy,
						}),
					);
					await untilTrue(() => isRunning(session, "select sleep"), { what: "the server is at it" });
					controller.abort(reason);
					await untilTrue(async () => !(await isRunning(session, "select sleep")), { what: "it has ended" });
					expect(query.reason).to.equal(reason);
					expect(await isRunning(session, ""), "the session lives").to.equal(lives);
					expect(await sessionOf(db)).to.be.a("number");
				});
			}
		}

		const cancelled = async (db: Kysely<Tables>, session: number): Promise<void> => {
			quiet();
			const controller = new AbortController();
			const inflightQueryAbortStrategy = "cancel query";
			void rejection(sql`select sleep(3)`.execute(db, { signal: controller.signal, inflightQueryAbortStrategy }));
			await untilTrue(() => isRunning(session, "select sleep"), { what: "the server is at it" });
			forkUnnoticed();
			controller.abort(reason);
			await settle();
		};

		for (const [how, config] of ways) {
			it(`never ends a query of the parent by ${how}`, async () => {
				const db = open(config());
				const session = await sessionOf(db);
				await cancelled(db, session);
				expect(await sessionOf(db)).not.to.equal(session);
				for (let n = 0; n < 20; n++) expect(await isRunning(session, "select sleep")).to.equal(true);
			});
		}

		it("ends a query of the parent by a control connection of Kysely's own dialect", async () => {
			const pool = pooled();
			const dialect = new MysqlDialect({ pool, controlConnection: mysql.createConnection });
			const db = new Kysely<Tables>({ dialect });
			const session = await sessionOf(db);
			await cancelled(db, session);
			await untilTrue(async () => !(await isRunning(session, "select sleep")), { what: "it was killed" });
			pretendFork();
			await db.destroy();
		});
	});
}

/** Kysely tells the console of queries that it has cancelled. */
function quiet(): void {
	const { error } = console;
	console.error = () => {};
	afterThisTest(async () => void Object.assign(console, { error }));
}
