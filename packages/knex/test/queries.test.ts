import { OptionError } from "@forksafe/core";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import pg from "pg";
import { Pool as Tarn } from "tarn";
import { rejection, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafePostgres } from "../src/index.ts";
import { ask, backendOf, destroyAll, hold, newName, open, poolOf } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

for (const subject of subjects) {
	describe(`what a Knex does, ${subject.name}`, () => {
		let db: Knex;
		let table: string;

		beforeEach(async () => {
			({ db } = subject.open());
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
		});

		describe("a transaction", () => {
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
	});
}

describe("connectionPool", () => {
	afterEach(destroyAll);

	it("is refused when it is a pool whose connections would not be guarded", async () => {
		for (const connectionPool of [new pg.Pool({ max: 1 }), new Tarn({ create: () => ({}), destroy() {}, min: 0, max: 1 }), {}]) {
			const error = thrown(() => knex({ client: ForkSafePostgres, connectionPool: connectionPool as never }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "connectionPool" });
		}
	});

	it("counts as not given when it is undefined", async () => {
		const { db } = open({ connectionPool: undefined as never });
		expect(poolOf(db)).to.have.property("constructor", poolOf(open().db).constructor);
	});
});
