import { AcquireTimeoutError } from "@forksafe/core";
import { expect } from "chai";
import knex from "knex";
import { TimeoutError } from "tarn";
import { rejection } from "../../../test/support/promises.ts";
import { backendOf, destroyAll, hold, open, poolOf } from "./support/database.ts";
import { guarded, knex31 } from "./support/subjects.ts";

for (const { name, version, open } of guarded) {
	describe(`an acquire that is not served in time, ${name}`, () => {
		afterEach(destroyAll);

		it("rejects with KnexTimeoutError, whose causes are tarn's and ours, with the numbers", async () => {
			const { db } = open({ pool: { min: 0, max: 2, acquireTimeoutMillis: 500 } });
			const held = [await hold(db), await hold(db)];
			const error = (await rejection(backendOf(db))) as Error;
			expect(error).to.be.instanceOf((version === "3.1" ? knex31 : knex).KnexTimeoutError);
			expect(error.message).to.include("Knex: Timeout acquiring a connection. The pool is probably full.");
			const ofTarn = error.cause as Error;
			expect(ofTarn).to.be.instanceOf(TimeoutError);
			expect(ofTarn.message).to.include("no connection within 500 ms (max 2: 2 used, 1 pending)");
			const ours = ofTarn.cause as AcquireTimeoutError;
			expect(ours).to.be.instanceOf(AcquireTimeoutError).and.to.include({ code: "ERR_FORKSAFE_ACQUIRE_TIMEOUT", phase: "wait" });
			expect(ours.counts).to.include({ max: 2, used: 2, idle: 0, pending: 1 });
			expect(ours.waitedMillis).to.be.at.least(499);
			for (const connection of held) await db.client.releaseConnection(connection);
		});

		it("has a cause of its own, where others wait too", async () => {
			const { db } = open({ pool: { min: 0, max: 1, acquireTimeoutMillis: 500 } });
			const held = await hold(db);
			const errors = await Promise.all(Array.from({ length: 3 }, () => rejection(backendOf(db))));
			expect(new Set(errors.map(({ cause }) => cause))).to.have.property("size", 3);
			for (const { cause } of errors) expect(cause).to.be.instanceOf(TimeoutError);
			await db.client.releaseConnection(held);
		});
	});
}

describe("an acquire that is not served in time", () => {
	afterEach(destroyAll);

	it("leaves nothing behind, and the next one is served", async () => {
		const { db } = open({ pool: { min: 0, max: 1, acquireTimeoutMillis: 500 } });
		const held = await hold(db);
		for (const attempt of [() => backendOf(db), () => db.transaction()]) {
			expect(await rejection(attempt())).to.be.instanceOf(knex.KnexTimeoutError);
		}
		expect(poolOf(db).numPendingAcquires()).to.equal(0);
		await db.client.releaseConnection(held);
		expect(await backendOf(db)).to.be.a("number");
	});
});
