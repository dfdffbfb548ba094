/** https://knexjs.org/guide/#withuserparams */
import { Client as GuardedClient } from "@forksafe/pg";
import { expect } from "chai";
import type { Knex } from "knex";
import { thrown } from "../../../test/support/promises.ts";
import { ask, backendOf, destroyAll, hold, newName, poolOf } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

for (const subject of subjects) {
	describe(`a clone with user params, ${subject.name}`, () => {
		let db: Knex;

		beforeEach(() => {
			({ db } = subject.open());
		});
		afterEach(destroyAll);

		it("knows them, over the same pool and the same driver", async () => {
			const clone = db.withUserParams({ tenant: 5 });
			expect(clone.userParams).to.deep.equal({ tenant: 5 });
			expect(db.userParams).not.to.deep.equal({ tenant: 5 });
			expect(clone.client.pool).to.equal(db.client.pool);
			expect(clone.client.driver.Client).to.equal(db.client.driver.Client);
			expect(await backendOf(clone)).to.equal(await backendOf(db));
		});

		it("may be cloned in its turn", async () => {
			const clone = db.withUserParams({ tenant: 5 }).withUserParams({ tenant: 6 });
			expect(clone.userParams).to.deep.equal({ tenant: 6 });
			expect(await backendOf(clone)).to.equal(await backendOf(db));
		});

		it("hands them on to transactions and to their savepoints, which take none of their own", async () => {
			const table = newName();
			await ask(`create table "${table}" (word text)`);
			await db.withUserParams({ tenant: 5 }).transaction(async (trx) => {
				expect(trx.userParams).to.deep.equal({ tenant: 5 });
				await trx(table).insert({ word: "one" });
				await trx.transaction((inner) => inner(table).insert({ word: "two" }));
				expect(thrown(() => trx.withUserParams({ tenant: 6 })).message).to.include("Cannot set user params on a transaction");
			});
			expect(await db(table).orderBy("word").pluck("word")).to.deep.equal(["one", "two"]);
			await ask(`drop table "${table}"`);
		});

		it("opens connections of the same kind, and any of the two gives them back", async () => {
			const clone = db.withUserParams({});
			const [first, second] = [await hold(db), await hold(clone)];
			expect(second.constructor).to.equal(first.constructor);
			expect(second instanceof GuardedClient).to.equal(subject.isOurs);
			await clone.client.releaseConnection(first);
			await db.client.releaseConnection(second);
			expect(poolOf(db).numFree()).to.equal(2);
		});

		it("runs schema changes and streams, too", async () => {
			const clone = db.withUserParams({ tenant: 5 });
			const table = newName();
			await clone.schema.createTable(table, (columns) => void columns.integer("n"));
			await clone(table).insert([{ n: 1 }, { n: 2 }]);
			expect(await clone(table).orderBy("n").stream().toArray()).to.deep.equal([{ n: 1 }, { n: 2 }]);
			await clone.schema.dropTable(table);
			expect(await db.schema.hasTable(table)).to.equal(false);
		});

		it("has listeners of its own", async () => {
			const clone = db.withUserParams({ tenant: 5 });
			const seen: string[] = [];
			db.on("query", () => seen.push("db"));
			clone.on("query", () => seen.push("clone"));
			await clone.raw("select 1");
			await db.raw("select 1");
			expect(seen.slice(-2)).to.deep.equal(["clone", "db"]);
		});
	});
}
