import { PoolClosedError } from "@forksafe/core";
import { expect } from "chai";
import knex from "knex";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { backendOf, destroyAll, hold, poolOf, serverConnection, sessions } from "./support/database.ts";
import { guarded } from "./support/subjects.ts";

for (const { name, open } of guarded) {
	describe(`destroy, ${name}`, () => {
		afterEach(destroyAll);

		it("closes every connection, and may be called again", async () => {
			const { db, name } = open();
			await Promise.all([db.raw("select pg_sleep(0.01)"), db.raw("select pg_sleep(0.01)")]);
			expect(await sessions(name)).to.equal(2);
			await db.destroy();
			await untilTrue(async () => (await sessions(name)) === 0, { what: "all are closed" });
			await db.destroy();
			expect(db.client.pool).to.equal(undefined);
		});

		it("may be called again while the first call is not over", async () => {
			const { db } = open();
			const held = await hold(db);
			const both = follow(Promise.all([db.destroy(), db.destroy()]));
			await settle();
			expect(both.state).to.equal("pending");
			await db.client.releaseConnection(held);
			await untilTrue(() => both.state === "fulfilled", { what: "both are over" });
		});

		it("calls back", async () => {
			const { db } = open();
			await backendOf(db);
			await new Promise<void>((resolve) => {
				db.destroy(resolve);
			});
			expect(db.client.pool).to.equal(undefined);
		});

		it("waits for connections in use, which work until they come back", async () => {
			const { db, name } = open();
			const held = await hold(db);
			const destroyed = follow(db.destroy());
			expect(await backendOf(db, held)).to.equal(held.processID);
			expect(destroyed.state).to.equal("pending");
			await db.client.releaseConnection(held);
			await untilTrue(() => destroyed.state === "fulfilled", { what: "it is over" });
			await untilTrue(async () => (await sessions(name)) === 0, { what: "it is closed" });
		});

		it("rejects who waits and who comes later, at once", async () => {
			const { db } = open({ pool: { min: 0, max: 1 } });
			const held = await hold(db);
			const waiting = follow(backendOf(db));
			await untilTrue(() => poolOf(db).numPendingAcquires() === 1, { what: "one waits" });
			const destroyed = db.destroy();
			expect(await rejection(backendOf(db))).to.be.instanceOf(PoolClosedError);
			expect(waiting.reason).to.be.instanceOf(PoolClosedError);
			await db.client.releaseConnection(held);
			await destroyed;
			expect(await rejection(backendOf(db)))
				.to.have.property("message")
				.that.includes("Unable to acquire a connection");
		});

		it("leaves a pool alone that is there already when initialize() is called", async () => {
			const { db, warnings } = open();
			const before = poolOf(db);
			db.initialize();
			expect(poolOf(db)).to.equal(before);
			expect(warnings).to.deep.equal(["The pool has already been initialized"]);
		});

		it("lets a connection that comes back later do nothing", async () => {
			const { db } = open();
			const held = await hold(db);
			await db.client.releaseConnection(held);
			await db.destroy();
			await db.client.releaseConnection(held);
			db.initialize();
			await db.client.releaseConnection(held);
			expect(poolOf(db).numFree()).to.equal(0);
			expect(await backendOf(db)).to.be.a("number");
		});
	});
}

for (const { name, open } of guarded) {
	describe(`releaseConnection, ${name}`, () => {
		afterEach(destroyAll);

		it("frees a connection once, however often it is called", async () => {
			const { db } = open({ pool: { min: 0, max: 1 } });
			const held = await hold(db);
			for (const _ of [1, 2, 3]) await db.client.releaseConnection(held);
			expect(poolOf(db).numFree()).to.equal(1);
			expect(poolOf(db).numUsed()).to.equal(0);
			const [first, second] = [await hold(db), follow(hold(db))];
			expect(first).to.equal(held);
			await settle();
			expect(second.state).to.equal("pending");
			await db.client.releaseConnection(first);
		});

		it("takes no stranger in, as with plain Knex", async () => {
			const { db } = open();
			const other = open();
			const plain = knex({ client: "pg", connection: serverConnection(), pool: { min: 0 } });
			const stranger = await hold(other.db);
			for (const to of [db, plain]) {
				expect(to.client.pool.release(stranger)).to.equal(false);
				await to.client.releaseConnection(stranger);
				expect(to.client.pool.numFree()).to.equal(0);
			}
			expect(poolOf(other.db).numUsed()).to.equal(1);
			expect(poolOf(other.db).release(stranger)).to.equal(true);
			expect(poolOf(other.db).release(stranger)).to.equal(false);
			await plain.destroy();
		});
	});
}
