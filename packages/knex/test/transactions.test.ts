/** https://knexjs.org/guide/transactions.html */
import { expect } from "chai";
import type { Knex } from "knex";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ask, backendOf, destroyAll, newName, poolOf, sessions } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

/** With a method that Knex does not declare. */
interface LevelledTransaction {
	setIsolationLevel(level: string): PromiseLike<{ rows: unknown[] }>;
}

for (const subject of subjects) {
	describe(`a transaction, ${subject.name}`, () => {
		let db: Knex;
		let name: string;
		let table: string;

		beforeEach(async () => {
			table = newName();
			await ask(`create table "${table}" (id serial, word text not null unique)`);
			({ db, name } = subject.open());
		});
		afterEach(async () => {
			await destroyAll();
			await ask(`drop table "${table}"`);
		});

		const words = (): Promise<string[]> => db(table).orderBy("id").pluck("word");
		const isGivenBack = (): Promise<void> =>
			untilTrue(() => poolOf(db).numUsed() === 0, { what: "the connection is given back" });
		/** How many sessions are in the middle of a transaction. */
		const open = (): Promise<number> => sessions(name, "idle in transaction");

		describe("with a callback", () => {
			it("resolves with what the callback returns, once it is committed", async () => {
				const result = await db.transaction(async (trx) => {
					expect(trx.isTransaction).to.equal(true);
					await trx(table).insert({ word: "one" });
					expect(await words()).to.deep.equal([]);
					return "done";
				});
				expect(result).to.equal("done");
				expect(await words()).to.deep.equal(["one"]);
				await isGivenBack();
			});

			it("is undone when the callback throws before it has returned a promise", async () => {
				const failure = new Error("no");
				const transaction = db.transaction(() => {
					throw failure;
				});
				expect(await rejection(transaction)).to.equal(failure);
				await isGivenBack();
			});

			it("rejects with the error of the server, and is undone as a whole", async () => {
				const transaction = db.transaction(async (trx) => {
					await trx(table).insert({ word: "one" });
					await trx(table).insert({ word: "one" });
				});
				expect(await rejection(transaction)).to.include({ code: "23505" });
				expect(await words()).to.deep.equal([]);
				await isGivenBack();
			});

			it("may be ended by the callback itself, with a value", async () => {
				const committed = db.transaction((trx) => {
					trx(table)
						.insert({ word: "one" })
						.then(() => trx.commit("committed"), trx.rollback);
				});
				expect(await committed).to.equal("committed");
				const failure = new Error("no");
				const undone = db.transaction((trx) => {
					trx(table)
						.insert({ word: "two" })
						.then(() => trx.rollback(failure), trx.rollback);
				});
				expect(await rejection(undone)).to.equal(failure);
				expect(await words()).to.deep.equal(["one"]);
			});

			it("rejects what is sent after its end", async () => {
				let kept: Knex.Transaction | undefined;
				await db.transaction(async (trx) => {
					kept = trx;
					await trx(table).insert({ word: "one" });
				});
				const error = await rejection((kept as Knex.Transaction)(table).insert({ word: "two" }));
				expect(error.message).to.include("Transaction query already complete");
				expect(await words()).to.deep.equal(["one"]);
			});
		});

		describe("from a provider", () => {
			it("is begun at the first call, and is the same at every other", async () => {
				const provide = db.transactionProvider();
				await settle();
				expect(poolOf(db).numUsed()).to.equal(0);
				const [first, second] = await Promise.all([provide(), provide()]);
				expect(first).to.equal(second);
				expect(poolOf(db).numUsed()).to.equal(1);
				await first(table).insert({ word: "one" });
				await (await provide())(table).insert({ word: "two" });
				expect(await words()).to.deep.equal([]);
				await first.commit();
				expect(await words()).to.deep.equal(["one", "two"]);
				expect((await provide()).isCompleted()).to.equal(true);
			});

			it("has the options of the provider", async () => {
				const trx = await db.transactionProvider({ readOnly: true })();
				expect(await rejection(trx(table).insert({ word: "one" }))).to.include({ code: "25006" });
				await trx.rollback();
			});
		});

		describe("nested", () => {
			it("is a savepoint on the connection of the outer one, and knows it", async () => {
				await db.transaction(async (outer) => {
					const inner = await outer.transaction();
					expect(inner.parentTransaction).to.equal(outer);
					expect(await backendOf(inner)).to.equal(await backendOf(outer));
					await inner.savepoint((deepest) => deepest(table).insert({ word: "deepest" }));
					expect(await inner(table).pluck("word")).to.deep.equal(["deepest"]);
					expect(inner.isCompleted()).to.equal(false);
					await inner.rollback();
					await outer(table).insert({ word: "outer" });
				});
				expect(await words()).to.deep.equal(["outer"]);
				await isGivenBack();
			});

			it("undoes an error of the server, after which the outer one can go on", async () => {
				const trx = await db.transaction();
				await trx(table).insert({ word: "one" });
				const nested = trx.transaction((inner) => inner(table).insert({ word: "one" }));
				expect(await rejection(nested)).to.include({ code: "23505" });
				await trx(table).insert({ word: "two" });
				expect(await rejection(trx(table).insert({ word: "two" }))).to.include({ code: "23505" });
				expect(await rejection(trx(table).insert({ word: "three" }))).to.include({ code: "25P02" });
				await trx.rollback();
				expect(await words()).to.deep.equal([]);
			});

			it("begins when its elder sibling has ended", async () => {
				await db.transaction(async (outer) => {
					const elder = await outer.transaction();
					const younger = follow(Promise.resolve(outer.transaction()));
					await elder.raw("select 1");
					await settle();
					expect(younger.state).to.equal("pending");
					await elder.commit();
					await untilTrue(() => younger.state === "fulfilled", { what: "the younger one has begun" });
					await younger.value?.rollback();
				});
			});

			it("has ended when the outer one has", async () => {
				const outer = await db.transaction();
				const inner = await outer.transaction();
				await outer.rollback();
				expect(inner.isCompleted()).to.equal(true);
				expect((await rejection(inner.raw("select 1"))).message).to.include("Transaction query already complete");
			});
		});

		describe("with an isolation level", () => {
			for (const isolationLevel of ["read uncommitted", "read committed", "repeatable read", "serializable"] as const) {
				it(`runs with ${isolationLevel}, and so does no transaction after it`, async () => {
					const level = async (trx: Knex): Promise<string> =>
						(await trx.raw("show transaction_isolation")).rows[0].transaction_isolation;
					expect(await db.transaction(level, { isolationLevel })).to.equal(isolationLevel);
					const trx = await db.transaction({ isolationLevel });
					expect(await level(trx)).to.equal(isolationLevel);
					await trx.commit();
					expect(await db.transaction(level)).to.equal("read committed");
				});
			}

			it("takes the level from setIsolationLevel, before it has begun", async () => {
				const transaction = db.transaction((trx) => trx.raw("show transaction_isolation"));
				const { rows } = await (transaction as unknown as LevelledTransaction).setIsolationLevel("serializable");
				expect(rows).to.deep.equal([{ transaction_isolation: "serializable" }]);
			});

			it("sees what others commit with read committed, and not with repeatable read", async () => {
				for (const [isolationLevel, seen] of [
					["read committed", ["one"]],
					["repeatable read", []],
				] as const) {
					const trx = await db.transaction({ isolationLevel });
					expect(await trx(table).pluck("word")).to.deep.equal([]);
					await db(table).insert({ word: "one" });
					expect(await trx(table).pluck("word")).to.deep.equal(seen);
					await trx.commit();
					await db(table).delete();
				}
			});

			it("refuses one that does not exist, and gives the connection back", async () => {
				const error = await rejection(Promise.resolve().then(() => db.transaction({ isolationLevel: "none" as "snapshot" })));
				expect(error.message).to.include("Invalid isolationLevel");
				await isGivenBack();
			});
		});

		describe("that is read only", () => {
			it("reads, and rejects what writes", async () => {
				await db(table).insert({ word: "one" });
				const trx = await db.transaction({ readOnly: true });
				expect(await trx(table).pluck("word")).to.deep.equal(["one"]);
				expect(await rejection(trx(table).delete())).to.include({ code: "25006" });
				await trx.rollback();
				const written = db.transaction((own) => own(table).delete(), { readOnly: true, isolationLevel: "serializable" });
				expect(await rejection(written)).to.include({ code: "25006" });
				await db(table).insert({ word: "two" });
				expect(await words()).to.deep.equal(["one", "two"]);
			});
		});

		describe("whose end is awaited", () => {
			it("resolves executionPromise with the value of the commit", async () => {
				const trx = await db.transaction();
				const execution = follow(trx.executionPromise);
				expect(trx.isCompleted()).to.equal(false);
				await trx.raw("select 1");
				expect(execution.state).to.equal("pending");
				await trx.commit("value");
				expect(trx.isCompleted()).to.equal(true);
				await settle();
				expect(execution).to.include({ state: "fulfilled", value: "value" });
			});

			it("resolves executionPromise at a rollback without an error", async () => {
				const trx = await db.transaction();
				await trx.rollback();
				expect(await trx.executionPromise).to.equal(undefined);
				await isGivenBack();
			});

			it("rejects executionPromise at such a rollback when doNotRejectOnRollback is false", async () => {
				const trx = await db.transaction(undefined, { doNotRejectOnRollback: false });
				const execution = rejection(trx.executionPromise);
				await trx.rollback();
				expect((await execution).message).to.include("Transaction rejected with non-error: undefined");
				await isGivenBack();
			});

			it("rejects executionPromise with the error of the rollback", async () => {
				const failure = new Error("no");
				const trx = await db.transaction();
				const execution = rejection(trx.executionPromise);
				await trx.rollback(failure);
				expect(await execution).to.equal(failure);
			});

			it("rejects executionPromise when the commit fails", async () => {
				await db.raw("alter table ?? add constraint ?? unique (id) deferrable initially deferred", [table, `${table}-id`]);
				const trx = await db.transaction();
				await trx(table).insert({ id: 1, word: "one" });
				await trx(table).insert({ id: 1, word: "two" });
				const execution = rejection(trx.executionPromise);
				// Knex tells executionPromise alone.
				await trx.commit();
				expect(await execution).to.include({ code: "23505" });
				expect(await words()).to.deep.equal([]);
				await isGivenBack();
			});
		});

		it("leaves nothing open on the server, however it has ended", async () => {
			await db.transaction((trx) => trx.raw("select 1"));
			await rejection(db.transaction((trx) => trx.raw("select nonsense")));
			const trx = await db.transaction();
			await trx.raw("select 1");
			expect(await open()).to.equal(1);
			await trx.rollback();
			expect(await open()).to.equal(0);
		});

		it("runs on a connection that it is given, which stays with whoever gave it", async () => {
			const connection = await db.client.acquireConnection();
			await db.transaction((trx) => trx(table).insert({ word: "one" }), { connection });
			expect(poolOf(db).numUsed()).to.equal(1);
			await db.client.releaseConnection(connection);
			expect(await words()).to.deep.equal(["one"]);
		});

		it("takes in batchInsert, which makes one of its own otherwise", async () => {
			const rows = Array.from({ length: 5 }, (_, n) => ({ word: String(n) }));
			expect(await rejection(db.batchInsert(table, [...rows, { word: "0" }], 2))).to.include({ code: "23505" });
			expect(await words()).to.deep.equal([]);
			const trx = await db.transaction();
			await db.batchInsert(table, rows, 2).transacting(trx);
			expect(await words()).to.deep.equal([]);
			await trx.commit();
			expect(await words()).to.have.lengthOf(5);
		});
	});
}
