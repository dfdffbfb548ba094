import { OptionError } from "@forksafe/core";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import pg from "pg";
import { Pool as Tarn } from "tarn";
import { rejection, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafePostgres } from "../src/index.ts";
import {
	ask,
	backendOf,
	destroyAll,
	hold,
	newName,
	open,
	openOver,
	poolOf,
	serverConnection,
	sessions,
} from "./support/database.ts";

describe("with a guarded client", () => {
	let db: Knex;
	let table: string;

	beforeEach(async () => {
		({ db } = open({ pool: { min: 0, max: 2 } }));
		table = newName();
		await db.schema.createTable(table, (columns) => {
			columns.increments("id");
			columns.text("word").notNullable();
		});
	});
	afterEach(async () => {
		await destroyAll();
		await ask(`drop table "${table}"`);
	});

	const words = (): Promise<string[]> => db(table).orderBy("id").pluck("word");

	describe("queries", () => {
		it("insert, read, change and delete", async () => {
			expect(await db(table).insert({ word: "one" }).returning("id")).to.deep.equal([{ id: 1 }]);
			expect(await db(table).where({ id: 1 }).update({ word: "two" })).to.equal(1);
			expect(await db(table).first("word")).to.deep.equal({ word: "two" });
			expect(await db(table).delete()).to.equal(1);
			expect(await words()).to.deep.equal([]);
		});

		it("give their connection back, also when they fail", async () => {
			expect(await rejection(db(table).insert({ word: null }))).to.include({ code: "23502" });
			expect(await rejection(db.raw("select nonsense"))).to.include({ code: "42703" });
			expect(poolOf(db).numUsed()).to.equal(0);
			expect(poolOf(db).numFree()).to.equal(1);
		});

		it("share at most max connections", async () => {
			const busy = "select pg_backend_pid() as pid, pg_sleep(0.02)";
			const answers = await Promise.all(Array.from({ length: 8 }, () => db.raw(busy)));
			expect(new Set(answers.map(({ rows }) => rows[0].pid))).to.have.property("size", 2);
		});

		it("run on the connection that they are given, which stays with whoever holds it", async () => {
			const [first, second] = [await hold(db), await hold(db)];
			expect(await backendOf(db, first)).to.equal(first.processID);
			expect(await backendOf(db, second)).to.equal(second.processID);
			expect(poolOf(db).numUsed()).to.equal(2);
			await db.client.releaseConnection(first);
			expect(await backendOf(db)).to.equal(first.processID);
			await db.client.releaseConnection(second);
		});

		it("can be given up after a time, and are cancelled on the server", async () => {
			const error = await rejection(db.raw("select pg_sleep(60)").timeout(50, { cancel: true }));
			expect(error).to.have.property("name", "KnexTimeoutError");
			expect(await words()).to.deep.equal([]);
			expect(poolOf(db).numUsed()).to.equal(0);
		});
	});

	describe("a transaction", () => {
		it("commits what a callback has done, on one connection", async () => {
			await db.transaction(async (trx) => {
				await trx(table).insert({ word: "one" });
				expect(await words()).to.deep.equal([]);
				expect(await trx(table).pluck("word")).to.deep.equal(["one"]);
				expect(await backendOf(trx)).to.equal(await backendOf(trx));
			});
			expect(await words()).to.deep.equal(["one"]);
			expect(poolOf(db).numUsed()).to.equal(0);
		});

		it("undoes everything when the callback fails", async () => {
			const failure = new Error("no");
			const transaction = db.transaction(async (trx) => {
				await trx(table).insert({ word: "one" });
				throw failure;
			});
			expect(await rejection(transaction)).to.equal(failure);
			expect(await words()).to.deep.equal([]);
			expect(poolOf(db).numUsed()).to.equal(0);
		});

		it("is ended by commit or rollback without a callback", async () => {
			for (const end of ["commit", "rollback"] as const) {
				const trx = await db.transaction();
				await trx(table).insert({ word: end });
				await trx[end]();
				expect(trx.isCompleted()).to.equal(true);
			}
			expect(await words()).to.deep.equal(["commit"]);
			expect(poolOf(db).numUsed()).to.equal(0);
		});

		it("undoes a nested one alone", async () => {
			await db.transaction(async (outer) => {
				await outer(table).insert({ word: "outer" });
				const nested = outer.transaction(async (inner) => {
					await inner(table).insert({ word: "inner" });
					throw new Error("no");
				});
				expect(await rejection(nested)).to.have.property("message", "no");
				await outer.transaction((inner) => inner(table).insert({ word: "second" }));
			});
			expect(await words()).to.deep.equal(["outer", "second"]);
		});

		it("takes in what is queried elsewhere by transacting", async () => {
			const trx = await db.transaction();
			await db(table).transacting(trx).insert({ word: "one" });
			await trx.rollback();
			expect(await words()).to.deep.equal([]);
		});

		it("takes one connection out of the pool, and so do two of them two", async () => {
			const transactions = [await db.transaction(), await db.transaction()];
			expect(poolOf(db).numUsed()).to.equal(2);
			const backends = await Promise.all(transactions.map((trx) => backendOf(trx)));
			expect(new Set(backends)).to.have.property("size", 2);
			for (const trx of transactions) await trx.commit();
			await untilTrue(() => poolOf(db).numUsed() === 0 && poolOf(db).numFree() === 2, { what: "both are given back" });
		});
	});

	describe("withUserParams", () => {
		it("gives a clone that knows its params, over the same pool and the same driver", async () => {
			const clone = db.withUserParams({ tenant: 5 });
			expect(clone.userParams).to.deep.equal({ tenant: 5 });
			expect(db.userParams).not.to.deep.equal({ tenant: 5 });
			expect(clone.client.pool).to.equal(db.client.pool);
			expect(clone.client.driver.Client).to.equal(db.client.driver.Client);
			expect(await backendOf(clone)).to.equal(await backendOf(db));
		});

		it("hands the params on to transactions", async () => {
			await db.withUserParams({ tenant: 5 }).transaction(async (trx) => {
				expect(trx.userParams).to.deep.equal({ tenant: 5 });
				await trx(table).insert({ word: "one" });
			});
			expect(await words()).to.deep.equal(["one"]);
		});

		it("opens guarded connections", async () => {
			const clone = db.withUserParams({});
			const held = [await hold(db), await hold(clone)];
			expect(held[0]).to.be.instanceOf(held[1]?.constructor);
			expect(held[1]).to.have.property("isDiscarded", false);
			for (const connection of held) await clone.client.releaseConnection(connection);
			expect(poolOf(db).numFree()).to.equal(2);
		});
	});

	describe("Knex's connectionPool", () => {
		it("may be a pool of @forksafe/pg, which stays the application's", async () => {
			const { application_name, ...connection } = serverConnection();
			await using pool = new Pool({ ...(connection as object), application_name, max: 1 });
			const { db } = openOver({ connectionPool: pool });
			expect(await backendOf(db)).to.be.a("number");
			await db.destroy();
			expect((await pool.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
			expect(await sessions(application_name)).to.equal(1);
		});

		it("may be the pool of another Knex of ours", async () => {
			const { db: second } = openOver({ connectionPool: poolOf(db) });
			expect(await backendOf(second)).to.equal(await backendOf(db));
			await second.destroy();
			expect(await words()).to.deep.equal([]);
		});

		it("is refused when it is a pool whose connections would not be guarded", async () => {
			for (const connectionPool of [
				new pg.Pool({ max: 1 }),
				new Tarn({ create: () => ({}), destroy() {}, min: 0, max: 1 }),
				{},
			]) {
				const error = thrown(() => knex({ client: ForkSafePostgres, connectionPool: connectionPool as never }));
				expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "connectionPool" });
			}
		});

		it("counts as not given when it is undefined", async () => {
			const { db } = open({ connectionPool: undefined as never });
			expect(poolOf(db)).to.have.property("constructor", poolOf(open().db).constructor);
		});
	});
});
