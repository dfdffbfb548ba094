/** What is prepared, and when: packages/pg/test/prepare.test.ts. By real forks: test/integration/prepare.test.ts. */
import { OptionError } from "@forksafe/core";
import { expect } from "chai";
import { type Kysely, sql } from "kysely";
import Cursor from "pg-cursor";
import { thrown } from "../../../test/support/promises.ts";
import { destroyAll, open, poolOptions, type Tables } from "./support/database.ts";

/** What the server has prepared for the only connection, begun with one of the words of Kysely's builder. */
async function prepared(db: Kysely<Tables>): Promise<string[]> {
	const { rows } = await sql<{ word: string }>`
		select split_part(statement, ' ', 1) as word from pg_prepared_statements
		where statement not like '%pg_prepared_statements%' order by prepare_time, name`.execute(db);
	return rows.map(({ word }) => word);
}

describe("prepare", () => {
	afterEach(destroyAll);

	it("is an option of the pool, and prepares what comes again", async () => {
		const db = open({ pool: poolOptions({ max: 1, prepare: { minUses: 2 } }), cursor: Cursor });
		await sql`create temporary table words (id serial, word text not null)`.execute(db);
		for (const [index, word] of ["one", "two", "three"].entries()) {
			await db.transaction().execute(async (trx) => {
				const insert = trx.insertInto("words").values({ word }).returning("id");
				expect(await insert.executeTakeFirst()).to.deep.equal({ id: index + 1 });
			});
			const rows = await db.selectFrom("words").select("word").orderBy("id").execute();
			expect(rows.map((row) => row.word)).to.deep.equal(["one", "two", "three"].slice(0, index + 1));
		}
		expect(await prepared(db)).to.deep.equal(["insert", "select"]);
		await sql`alter table words add column more int`.execute(db);
		expect(await db.selectFrom("words").selectAll().where("id", "=", 1).executeTakeFirst()).to.have.keys("id", "word", "more");
		let streamed = 0;
		for await (const _ of db.selectFrom("words").select("word").stream(1)) streamed++;
		expect(streamed).to.equal(3);
	});

	it("prepares nothing unless it is asked to", async () => {
		const db = open({ pool: poolOptions({ max: 1 }) });
		for (let n = 0; n < 10; n++) await sql`select ${n}::int`.execute(db);
		expect(await prepared(db)).to.deep.equal([]);
	});

	it("is refused behind a transaction pooler", () => {
		const error = thrown(() => open({ pool: poolOptions({ preset: "transaction-pooler", prepare: true }) }));
		expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "prepare" });
	});
});
