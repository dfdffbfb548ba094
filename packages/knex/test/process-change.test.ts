import { InheritedConnectionError, ProcessChangedError } from "@forksafe/core";
import { expect } from "chai";
import type { Knex } from "knex";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ask, backendOf, destroyAll, hold, newName, poolOf, sessions } from "./support/database.ts";
import { guarded } from "./support/subjects.ts";

for (const { name, open } of guarded) {
	describe(`after a process change, ${name}`, () => {
		afterEach(destroyAll);

		it("a query runs on a connection of the new process, in the same pool", async () => {
			const { db } = open();
			const pool = poolOf(db);
			const before = await backendOf(db);
			pretendFork();
			expect(pool.numFree()).to.equal(0);
			expect(await backendOf(db)).not.to.equal(before);
			expect(db.client.pool).to.equal(pool);
			expect(pool.numFree()).to.equal(1);
		});

		it("a new connection is prepared as all others are", async () => {
			let prepared = 0;
			const afterCreate = (_connection: unknown, done: () => void): void => {
				prepared++;
				done();
			};
			const { db } = open({ searchPath: "pg_catalog", pool: { min: 0, max: 1, afterCreate } });
			await backendOf(db);
			pretendFork();
			expect((await db.raw("show search_path")).rows).to.deep.equal([{ search_path: "pg_catalog" }]);
			expect(prepared).to.equal(2);
		});

		it("clones work too, and what was cloned before", async () => {
			const { db } = open({ pool: { min: 0, max: 1 } });
			const clone = db.withUserParams({ tenant: 5 });
			const before = await backendOf(clone);
			pretendFork();
			const after = await backendOf(clone);
			expect(after).not.to.equal(before);
			expect(await backendOf(db.withUserParams({ tenant: 6 }))).to.equal(after);
			expect(await backendOf(db)).to.equal(after);
		});

		it("a query on a connection taken before rejects with InheritedConnectionError", async () => {
			const { db } = open({ pool: { min: 0, max: 1 } });
			const held = await hold(db);
			const change = pretendFork();
			const error = await rejection(backendOf(db, held));
			expect(error).to.be.instanceOf(InheritedConnectionError).and.to.include({ code: "ERR_FORKSAFE_INHERITED", change });
			expect(held.processID).to.equal(undefined);
		});

		it("a query that was running rejects with InheritedConnectionError", async () => {
			const { db, name } = open();
			const running = follow(Promise.resolve(db.raw("select pg_sleep(60)")));
			await untilTrue(async () => (await sessions(name, "active")) === 1, { what: "the server is at it" });
			const change = pretendFork();
			await settle();
			expect(running.reason).to.be.instanceOf(InheritedConnectionError).and.to.include({ change });
		});

		it("a query that waited for a connection rejects with ProcessChangedError, and is never run", async () => {
			const table = newName();
			await ask(`create table "${table}" (word text)`);
			const { db } = open({ pool: { min: 0, max: 1 } });
			await hold(db);
			const waiting = follow(Promise.resolve(db(table).insert({ word: "one" })));
			await untilTrue(() => poolOf(db).numPendingAcquires() === 1, { what: "it waits" });
			const change = pretendFork();
			await settle();
			expect(waiting.reason)
				.to.be.instanceOf(ProcessChangedError)
				.and.to.include({ code: "ERR_FORKSAFE_PROCESS_CHANGED", change });
			expect(await db(table).pluck("word")).to.deep.equal([]);
			await ask(`drop table "${table}"`);
		});

		it("a query whose connection was being opened rejects, and the connect is given up", async () => {
			const { db, name } = open({ pool: { min: 0, max: 1 } });
			const connecting = follow(hold(db));
			await settle();
			expect(poolOf(db).numPendingCreates()).to.equal(1);
			pretendFork();
			await settle();
			expect(connecting.reason).to.be.instanceOf(ProcessChangedError);
			expect(poolOf(db).numPendingCreates()).to.equal(0);
			await untilTrue(async () => (await sessions(name)) === 0, { what: "nothing is left open" });
		});

		it("nothing is waiting in afterCreate for a connection that is inherited", async () => {
			const entered = Promise.withResolvers<Knex.Client>();
			const gate = Promise.withResolvers<void>();
			const afterCreate = (connection: Knex.Client, done: () => void): void => {
				entered.resolve(connection);
				gate.promise.then(done, done);
			};
			const { db } = open({ pool: { min: 0, max: 1, afterCreate } });
			const waiting = follow(backendOf(db));
			const inherited = await entered.promise;
			pretendFork();
			gate.resolve();
			expect(await backendOf(db)).to.be.a("number");
			expect(waiting.reason).to.be.instanceOf(ProcessChangedError);
			const held = await hold(db);
			expect(held).not.to.equal(inherited);
			expect(poolOf(db).numUsed() + poolOf(db).numFree()).to.equal(1);
		});

		describe("a transaction begun before", () => {
			let db: Knex;
			let table: string;

			beforeEach(async () => {
				table = newName();
				await ask(`create table "${table}" (word text)`);
				({ db } = open({ pool: { min: 0, max: 1 } }));
			});
			afterEach(() => ask(`drop table "${table}"`));

			it("rejects its next statement, and what its callback has done is undone", async () => {
				const transaction = db.transaction(async (trx) => {
					await trx(table).insert({ word: "one" });
					pretendFork();
					await trx(table).insert({ word: "two" });
				});
				expect(await rejection(transaction)).to.be.instanceOf(InheritedConnectionError);
				expect(await db(table).pluck("word")).to.deep.equal([]);
				expect(poolOf(db).numUsed()).to.equal(0);
			});

			it("rejects its commit too", async () => {
				const trx = await db.transaction();
				await trx(table).insert({ word: "one" });
				pretendFork();
				// Knex alone tells it to executionPromise only, and resolves commit() in any case.
				const execution = follow(trx.executionPromise);
				expect(await rejection(trx.commit())).to.be.instanceOf(InheritedConnectionError);
				expect(execution.reason).to.be.instanceOf(InheritedConnectionError);
				expect(await db(table).pluck("word")).to.deep.equal([]);
			});

			it("rejects the commit of a nested one", async () => {
				const trx = await db.transaction();
				const nested = await trx.transaction();
				follow(trx.executionPromise);
				follow(nested.executionPromise);
				pretendFork();
				expect(await rejection(Promise.resolve(nested.commit()))).to.be.instanceOf(InheritedConnectionError);
				await trx.rollback();
			});

			it("rejects when it is nested", async () => {
				const transaction = db.transaction(async (outer) => {
					await outer.transaction(async (inner) => {
						await inner(table).insert({ word: "one" });
						pretendFork();
						await inner(table).insert({ word: "two" });
					});
				});
				expect(await rejection(transaction)).to.be.instanceOf(InheritedConnectionError);
				expect(await db(table).pluck("word")).to.deep.equal([]);
			});
		});

		it("a connection that comes back changes nothing", async () => {
			const { db } = open({ pool: { min: 0, max: 2 } });
			const inherited = await hold(db);
			pretendFork();
			const held = await hold(db);
			for (const _ of [1, 2]) await db.client.releaseConnection(inherited);
			expect(poolOf(db).numUsed()).to.equal(1);
			expect(poolOf(db).numFree()).to.equal(0);
			expect(await backendOf(db)).not.to.equal(held.processID);
		});

		it("destroy() ends at once, whatever was held before, and initialize() begins anew", async () => {
			const { db } = open({ pool: { min: 0, max: 1 } });
			const inherited = await hold(db);
			pretendFork();
			await db.destroy();
			await db.client.releaseConnection(inherited);
			db.initialize();
			expect(await backendOf(db)).to.be.a("number");
		});
	});
}
