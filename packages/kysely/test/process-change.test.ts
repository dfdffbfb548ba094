import { randomUUID } from "node:crypto";
import { InheritedConnectionError, ProcessChangedError } from "@forksafe/core";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import { type Kysely, sql } from "kysely";
import { Migrator } from "kysely/migration";
import Cursor from "pg-cursor";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { backendOf, destroyAll, open, poolOptions, sessions, type Tables } from "./support/database.ts";

describe("after a process change", () => {
	afterEach(destroyAll);

	it("a query runs on a connection of the new process", async () => {
		const db = open({ pool: poolOptions() });
		const before = await backendOf(db);
		pretendFork();
		const after = await backendOf(db);
		expect(after).not.to.equal(before);
		expect(await backendOf(db)).to.equal(after);
	});

	it("a function that made the pool is not asked again", async () => {
		let asked = 0;
		const db = open({
			pool: () => {
				asked++;
				return new Pool(poolOptions());
			},
		});
		const before = await backendOf(db);
		pretendFork();
		expect(await backendOf(db)).not.to.equal(before);
		expect(asked).to.equal(1);
	});

	it("a statement of an open transaction rejects with InheritedConnectionError", async () => {
		const pool = new Pool(poolOptions());
		const db = open({ pool });
		const transaction = db.transaction().execute(async (trx) => {
			await backendOf(trx);
			pretendFork();
			await backendOf(trx);
		});
		expect(await rejection(transaction))
			.to.be.instanceOf(InheritedConnectionError)
			.and.to.include({ code: "ERR_FORKSAFE_INHERITED" });
		expect(pool.totalCount).to.equal(0);
		expect(await backendOf(db)).to.be.a("number");
	});

	it("a controlled transaction rejects its statements, its savepoints and its end", async () => {
		const db = open({ pool: poolOptions() });
		const trx = await db.startTransaction().execute();
		pretendFork();
		expect(await rejection(backendOf(trx))).to.be.instanceOf(InheritedConnectionError);
		expect(await rejection(trx.savepoint("here").execute())).to.be.instanceOf(InheritedConnectionError);
		expect(await rejection(trx.commit().execute())).to.be.instanceOf(InheritedConnectionError);
		expect(await backendOf(db)).to.be.a("number");
	});

	it("a connection whose transaction was rolled back in vain goes on rejecting with InheritedConnectionError", async () => {
		const db = open({ pool: poolOptions() });
		await db.connection().execute(async (own) => {
			const transaction = own.transaction().execute(async () => pretendFork());
			expect(await rejection(transaction)).to.be.instanceOf(InheritedConnectionError);
			expect(await rejection(backendOf(own as Kysely<Tables>))).to.be.instanceOf(InheritedConnectionError);
		});
	});

	it("a migration that was under way reports an InheritedConnectionError", async () => {
		const db = open({ pool: poolOptions() });
		const migrationTableSchema = `test-${randomUUID()}`;
		const up = async (): Promise<void> => void pretendFork();
		const provider = { getMigrations: async () => ({ one: { up } }) };
		const { error } = await new Migrator({ db, migrationTableSchema, provider }).migrateToLatest();
		await db.schema.dropSchema(migrationTableSchema).cascade().execute();
		expect(error).to.be.instanceOf(InheritedConnectionError);
	});

	it("a query that was running rejects with InheritedConnectionError", async () => {
		const options = poolOptions();
		const db = open({ pool: options });
		const running = follow(sql`select pg_sleep(60)`.execute(db));
		await untilTrue(async () => (await sessions(options.application_name, "active")) === 1, { what: "the server is at it" });
		pretendFork();
		await settle();
		expect(running.reason).to.be.instanceOf(InheritedConnectionError);
	});

	it("a stream that was being read rejects with InheritedConnectionError", async () => {
		const db = open({ pool: poolOptions(), cursor: Cursor });
		let seen = 0;
		const reading = async (): Promise<void> => {
			const rows = db.selectFrom(sql<{ n: number }>`generate_series(1, 1000)`.as<"n">("n")).selectAll();
			for await (const _ of rows.stream(10)) if (++seen === 15) pretendFork();
		};
		expect(await rejection(reading())).to.be.instanceOf(InheritedConnectionError);
		expect(seen).to.equal(20);
		expect(await backendOf(db)).to.be.a("number");
	});

	it("a query that waited for a connection rejects with ProcessChangedError", async () => {
		const pool = new Pool(poolOptions({ max: 1 }));
		const db = open({ pool });
		const trx = await db.startTransaction().execute();
		const waiting = follow(backendOf(db));
		await untilTrue(() => pool.waitingCount === 1, { what: "it waits" });
		pretendFork();
		await settle();
		expect(waiting.reason).to.be.instanceOf(ProcessChangedError).and.to.include({ code: "ERR_FORKSAFE_PROCESS_CHANGED" });
		expect(trx.isTransaction).to.equal(true);
	});

	it("destroy() ends at once, whatever was held before", async () => {
		const db = open({ pool: poolOptions() });
		await db.startTransaction().execute();
		pretendFork();
		await db.destroy();
	});
});
