/** https://knexjs.org/guide/query-builder.html#timeout */
import { expect } from "chai";
import type { Knex } from "knex";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ask, backendOf, destroyAll, poolOf, sessions } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

for (const subject of subjects) {
	describe(`a query with a time-out, ${subject.name}`, () => {
		let db: Knex;
		let name: string;
		let warnings: string[];

		beforeEach(() => {
			({ db, name, warnings } = subject.open({ pool: { min: 0, max: 1 } }));
		});
		afterEach(destroyAll);

		it("resolves when it is faster", async () => {
			const answers = await Promise.all([
				db.select(db.raw("1 as n")).timeout(5_000),
				db.raw("select 1 as n").timeout(5_000, { cancel: true }),
			]);
			expect(answers[0]).to.deep.equal([{ n: 1 }]);
			expect(answers[1].rows).to.deep.equal([{ n: 1 }]);
		});

		it("rejects with what it was, and its connection is never used again", async () => {
			const before = await backendOf(db);
			const error = await rejection(db.select(db.raw("pg_sleep(?)", [60])).timeout(30));
			expect(error).to.be.instanceOf(Error).and.to.include({ name: "KnexTimeoutError", timeout: 30 });
			expect(error.message).to.equal("Defined query timeout of 30ms exceeded when running query.");
			expect(error).to.include({ sql: "select pg_sleep($1)" }).and.to.have.deep.property("bindings", [60]);
			expect(await backendOf(db)).not.to.equal(before);
			expect(warnings.join()).to.include("Connection Error: KnexTimeoutError");
			// Nobody has told the server.
			await ask("select pg_terminate_backend($1)", [before]);
		});

		it("is cancelled on the server with cancel, and its connection goes on", async () => {
			const before = await backendOf(db);
			const error = await rejection(db.raw("select pg_sleep(60)").timeout(30, { cancel: true }));
			expect(error).to.include({ name: "KnexTimeoutError", timeout: 30 });
			await untilTrue(async () => (await sessions(name, "active")) === 0, { what: "the server has stopped" });
			expect(await backendOf(db)).to.equal(before);
			await untilTrue(async () => (await sessions(name)) === 1, { what: "the connection that has cancelled is closed" });
		});

		it("undoes what it has done when it is cancelled", async () => {
			await db.raw("create temporary table words (word text)");
			const sql = "with done as (insert into words values ('one') returning word) select pg_sleep(60) from done";
			expect(await rejection(db.raw(sql).timeout(30, { cancel: true }))).to.have.property("name", "KnexTimeoutError");
			expect(await db("words")).to.deep.equal([]);
		});

		it("fails its transaction when it is cancelled there", async () => {
			const transaction = db.transaction(async (trx) => {
				const error = await rejection(trx.raw("select pg_sleep(60)").timeout(30, { cancel: true }));
				expect(error).to.have.property("name", "KnexTimeoutError");
				await trx.raw("select 1");
			});
			expect(await rejection(transaction)).to.include({ code: "25P02" });
			await untilTrue(() => poolOf(db).numUsed() === 0, { what: "the connection is given back" });
			expect(await backendOf(db)).to.be.a("number");
		});

		it("counts from when it has a connection", async () => {
			const held = await db.client.acquireConnection();
			const waiting = Promise.resolve(db.raw("select 1 as n").timeout(200));
			// Longer than its time-out.
			await ask("select pg_sleep(0.25)");
			expect(poolOf(db).numPendingAcquires()).to.equal(1);
			await db.client.releaseConnection(held);
			expect((await waiting).rows).to.deep.equal([{ n: 1 }]);
		});

		it("says that it could not be cancelled, and its connection is never used again", async () => {
			const before = await backendOf(db);
			const { client } = db;
			client.cancelQuery = () => Promise.reject(Object.assign(new Error("no server"), { code: "ECONNREFUSED" }));
			const error = await rejection(db.raw("select pg_sleep(60)").timeout(30, { cancel: true }));
			delete client.cancelQuery;
			expect(error).to.include({ code: "ECONNREFUSED" });
			expect(error.message).to.equal("After query timeout of 30ms exceeded, cancelling of query failed.");
			expect(await backendOf(db)).not.to.equal(before);
			await ask("select pg_terminate_backend($1)", [before]);
		});

		it("is no time-out when it is not above 0", async () => {
			for (const millis of [0, -1]) expect((await db.raw("select 1 as n").timeout(millis)).rows).to.deep.equal([{ n: 1 }]);
		});
	});
}
