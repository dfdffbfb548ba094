import type { PoolConfig } from "@forksafe/pg";
import { expect } from "chai";
import { type Kysely, sql } from "kysely";
import Cursor from "pg-cursor";
import { rejection } from "../../../test/support/promises.ts";
import { backendOf, destroyAll, open, poolOptions, type Tables } from "./support/database.ts";

describe("over a guarded pool", () => {
	let db: Kysely<Tables>;
	/** One connection, and so one set of temporary tables. */
	const options = (): PoolConfig => poolOptions({ max: 1 });
	const words = async (from: Kysely<Tables> = db): Promise<string[]> =>
		(await from.selectFrom("words").select("word").orderBy("id").execute()).map(({ word }) => word);

	beforeEach(async () => {
		db = open({ pool: options(), cursor: Cursor });
		await sql`create temporary table words (id serial, word text not null)`.execute(db);
	});
	afterEach(destroyAll);

	it("queries insert, read, change and delete", async () => {
		expect(await db.insertInto("words").values({ word: "one" }).returning("id").execute()).to.deep.equal([{ id: 1 }]);
		const [{ numUpdatedRows }] = (await db.updateTable("words").set({ word: "two" }).execute()) as [{ numUpdatedRows: bigint }];
		expect(numUpdatedRows).to.equal(1n);
		expect(await words()).to.deep.equal(["two"]);
		await db.deleteFrom("words").execute();
		expect(await words()).to.deep.equal([]);
	});

	it("a query that fails gives its connection back", async () => {
		const failing = db.insertInto("words").values({ word: null as never });
		for (const _ of [1, 2]) expect(await rejection(failing.execute())).to.include({ code: "23502" });
		expect(await words()).to.deep.equal([]);
	});

	it("a transaction commits, or undoes everything when it fails", async () => {
		await db.transaction().execute((trx) => trx.insertInto("words").values({ word: "one" }).execute());
		const failure = new Error("no");
		const transaction = db.transaction().execute(async (trx) => {
			await trx.insertInto("words").values({ word: "two" }).execute();
			expect(await words(trx)).to.deep.equal(["one", "two"]);
			throw failure;
		});
		expect(await rejection(transaction)).to.equal(failure);
		expect(await words()).to.deep.equal(["one"]);
	});

	it("a controlled transaction goes back to a savepoint", async () => {
		const trx = await db.startTransaction().execute();
		await trx.insertInto("words").values({ word: "one" }).execute();
		const saved = await trx.savepoint("here").execute();
		await saved.insertInto("words").values({ word: "two" }).execute();
		await saved.rollbackToSavepoint("here").execute();
		await saved.insertInto("words").values({ word: "three" }).execute();
		await saved.releaseSavepoint("here").execute();
		await trx.commit().execute();
		expect(await words()).to.deep.equal(["one", "three"]);
	});

	it("a controlled transaction is undone by rollback, and gives its connection back", async () => {
		const trx = await db.startTransaction().execute();
		await trx.insertInto("words").values({ word: "one" }).execute();
		await trx.rollback().execute();
		expect(await words()).to.deep.equal([]);
	});

	it("a connection of one's own is the same for all that runs on it", async () => {
		await db.connection().execute(async (own) => {
			expect(await backendOf(own as Kysely<Tables>)).to.equal(await backendOf(own as Kysely<Tables>));
		});
	});

	it("a stream reads in chunks, to its end or less far, and gives its connection back", async () => {
		await sql`insert into words (word) select n::text from generate_series(1, 50) n`.execute(db);
		const seen: string[] = [];
		for await (const { word } of db.selectFrom("words").select("word").orderBy("id").stream(7)) seen.push(word);
		expect(seen).to.deep.equal(Array.from({ length: 50 }, (_, index) => String(index + 1)));
		for await (const { word } of db.selectFrom("words").select("word").orderBy("id").stream(7)) {
			if (word === "3") break;
		}
		expect(await words()).to.have.lengthOf(50);
	});
});
