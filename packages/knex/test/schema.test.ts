/** https://knexjs.org/guide/schema-builder.html */
import { expect } from "chai";
import type { Knex } from "knex";
import { rejection } from "../../../test/support/promises.ts";
import { ask, destroyAll, newName, poolOf } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

for (const subject of subjects) {
	describe(`the schema builder, ${subject.name}`, () => {
		let schema: string;
		let db: Knex;

		beforeEach(async () => {
			schema = newName();
			await ask(`create schema "${schema}"`);
			({ db } = subject.open({ searchPath: [schema] }));
		});
		afterEach(async () => {
			expect(poolOf(db).numUsed()).to.equal(0);
			await destroyAll();
			await ask(`drop schema "${schema}" cascade`);
		});

		const createWords = (on: Knex = db): Promise<void> =>
			on.schema.createTable("words", (table) => {
				table.increments("id");
				table.string("word", 20).notNullable().unique().defaultTo("none");
				table.timestamps(true, true);
			});

		it("creates, renames and drops a table", async () => {
			expect(await db.schema.hasTable("words")).to.equal(false);
			await createWords();
			expect(await db.schema.hasTable("words")).to.equal(true);
			expect(await rejection(createWords())).to.include({ code: "42P07" });
			await db.schema.createTableLike("copies", "words");
			await db.schema.renameTable("words", "renamed");
			for (const [name, isThere] of [
				["words", false],
				["renamed", true],
				["copies", true],
			] as const) {
				expect(await db.schema.hasTable(name), name).to.equal(isThere);
			}
			await db.schema.dropTable("copies").dropTable("renamed");
			await db.schema.dropTableIfExists("renamed");
			expect(await rejection(db.schema.dropTable("renamed"))).to.include({ code: "42P01" });
		});

		it("alters a table", async () => {
			await createWords();
			await db.schema.alterTable("words", (table) => {
				table.integer("length").index();
				table.dropTimestamps();
				table.text("word").notNullable().alter();
			});
			await db.schema.alterTable("words", (table) => table.renameColumn("word", "name"));
			const columns = await db("words").columnInfo();
			expect(columns).to.have.all.keys("id", "name", "length");
			expect(columns["name"]).to.include({ type: "text", nullable: false });
			expect(await db.schema.hasColumn("words", "length")).to.equal(true);
			expect(await db.schema.hasColumn("words", "word")).to.equal(false);
		});

		it("tells what a column is", async () => {
			await createWords();
			expect(await db("words").columnInfo("word")).to.deep.equal({
				type: "character varying",
				maxLength: 20,
				nullable: false,
				defaultValue: "'none'::character varying",
			});
		});

		it("runs several statements one after another, on one connection, up to the first that fails", async () => {
			const statements = db.schema
				.raw("create temporary table only_here (n int)")
				.raw("insert into only_here values (1)")
				.raw("create table kept as select * from only_here")
				.raw("select nonsense")
				.raw("create table never (n int)");
			expect(await rejection(statements)).to.include({ code: "42703" });
			expect(await db("kept")).to.deep.equal([{ n: 1 }]);
			expect(await db.schema.hasTable("never")).to.equal(false);
		});

		it("is undone with its transaction", async () => {
			const failure = new Error("no");
			const transaction = db.transaction(async (trx) => {
				await createWords(trx);
				expect(await trx.schema.hasTable("words")).to.equal(true);
				expect(await db.schema.hasTable("words")).to.equal(false);
				throw failure;
			});
			expect(await rejection(transaction)).to.equal(failure);
			expect(await db.schema.hasTable("words")).to.equal(false);
			await db.transaction((trx) => createWords(trx));
			expect(await db.schema.hasTable("words")).to.equal(true);
		});

		it("works in the schema that withSchema says, and creates and drops schemas", async () => {
			const other = `${schema}-2`;
			await db.schema.createSchema(other);
			await db.schema.withSchema(other).createTable("elsewhere", (table) => table.integer("n"));
			expect(await db.schema.hasTable("elsewhere")).to.equal(false);
			expect(await db.schema.withSchema(other).hasTable("elsewhere")).to.equal(true);
			await db.withSchema(other).insert({ n: 1 }).into("elsewhere");
			expect(await db("elsewhere").withSchema(other)).to.deep.equal([{ n: 1 }]);
			await db.schema.dropSchema(other, true);
		});

		it("creates views and foreign keys", async () => {
			await createWords();
			await db.schema.createTable("uses", (table) => {
				table.integer("word_id").unsigned().references("id").inTable("words").onDelete("cascade");
			});
			await db.schema.createView("short_words", (view) => {
				view.columns(["word"]);
				view.as(db("words").select("word").whereRaw("length(word) < 4"));
			});
			await db("words").insert([{ word: "one" }, { word: "three" }]);
			await db("uses").insert({ word_id: 1 });
			expect(await rejection(db("uses").insert({ word_id: 5 }))).to.include({ code: "23503" });
			expect(await db("short_words")).to.deep.equal([{ word: "one" }]);
			await db("words").where({ id: 1 }).delete();
			expect(await db("uses")).to.deep.equal([]);
			await db.schema.dropView("short_words");
			expect(await rejection(db("short_words"))).to.include({ code: "42P01" });
		});
	});
}
