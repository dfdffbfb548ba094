import { randomUUID } from "node:crypto";
import { expect } from "chai";
import { CamelCasePlugin, type Generated, Kysely, sql } from "kysely";
import Cursor from "pg-cursor";
import { rejection } from "../../../test/support/promises.ts";
import { scoped } from "../../../test/support/scoped.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafePostgresDialect } from "../src/index.ts";
import { backendOf, destroyAll, open, poolOptions, sessions, type Tables } from "./support/database.ts";

describe("over a guarded pool", () => {
	let db: Kysely<Tables>;
	/** One connection, and so one set of temporary tables. */
	const options = (): ReturnType<typeof poolOptions> => poolOptions({ max: 1 });
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

	it("a transaction has the isolation level and the access mode that were asked for", async () => {
		const show = async (trx: Kysely<Tables>, setting: string): Promise<unknown> =>
			(await sql<{ is: string }>`select current_setting(${setting}) as is`.execute(trx)).rows[0]?.is;
		for (const level of ["read uncommitted", "read committed", "repeatable read", "serializable"] as const) {
			await db
				.transaction()
				.setIsolationLevel(level)
				.execute(async (trx) => expect(await show(trx, "transaction_isolation")).to.equal(level));
			const controlled = await db.startTransaction().setIsolationLevel(level).setAccessMode("read only").execute();
			expect(await show(controlled, "transaction_isolation")).to.equal(level);
			expect(await show(controlled, "transaction_read_only")).to.equal("on");
			await controlled.rollback().execute();
		}
		expect(await show(db, "transaction_isolation")).to.equal("read committed");
	});

	it("a transaction whose session has ended fails, and the next one has another session", async () => {
		const before = await backendOf(db);
		const error = await rejection(
			db.transaction().execute((trx) => sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx)),
		);
		expect(error).to.be.instanceOf(Error);
		expect(await db.transaction().execute(backendOf)).not.to.equal(before);
	});

	it("plugins change queries and results", async () => {
		const camel = db.withPlugin(new CamelCasePlugin()) as unknown as Kysely<{
			allWords: { id: Generated<number>; theWord: string };
		}>;
		await sql`create temporary table all_words (id serial, the_word text)`.execute(db);
		await camel.insertInto("allWords").values({ theWord: "one" }).execute();
		expect(await camel.selectFrom("allWords").selectAll().execute()).to.deep.equal([{ id: 1, theWord: "one" }]);
	});

	it("introspection sees schemas, tables and columns, and the schema builder makes them", async () => {
		const schema = `test-${randomUUID()}`;
		await db.schema.createSchema(schema).execute();
		try {
			const builder = db.withSchema(schema).schema;
			await builder
				.createTable("made")
				.addColumn("id", "serial", (column) => column.primaryKey())
				.addColumn("word", "text", (column) => column.notNull())
				.execute();
			expect((await db.introspection.getSchemas()).map(({ name }) => name)).to.include(schema);
			const tables = (await db.introspection.getTables()).filter((table) => table.schema === schema);
			expect(tables.map(({ name, columns }) => [name, ...columns.map((column) => column.name)])).to.deep.equal([
				["made", "id", "word"],
			]);
		} finally {
			await db.schema.dropSchema(schema).cascade().execute();
		}
	});

	it("what is printed by log is told of every query", async () => {
		const logged: string[] = [];
		const loud = open({ pool: options() }, { log: ({ level, query }) => void logged.push(`${level}: ${query.sql}`) });
		await sql`select 1`.execute(loud);
		await rejection(sql`selec 1`.execute(loud));
		expect(logged).to.deep.equal(["query: select 1", "error: selec 1"]);
	});

	it("the end of a block ends the pool", async () => {
		const own = options();
		await scoped(new Kysely<Tables>({ dialect: new ForkSafePostgresDialect({ pool: own }) }), async (block) => {
			await backendOf(block);
			expect(await sessions(own.application_name)).to.equal(1);
		});
		await untilTrue(async () => (await sessions(own.application_name)) === 0, { what: "it is closed" });
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
