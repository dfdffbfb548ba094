/** What is prepared, and when: packages/pg/test/prepare.test.ts. By real forks: test/integration/prepare.test.ts. */
import { OptionError } from "@forksafe/core";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import knex33, { type Knex } from "knex";
import { afterThisTest } from "../../../test/support/after-this-test.ts";
import { thrown } from "../../../test/support/promises.ts";
import { postgresUrl } from "../../../test/support/server-urls.ts";
import { ForkSafePostgres, forkSafe } from "../src/index.ts";
import { dialectOf31, knex31 } from "./support/subjects.ts";

/** The texts of what the server has prepared for the only connection; Knex ends this question with a semicolon, so that it is not among them. */
async function prepared(db: Knex): Promise<string[]> {
	const { rows } = await db.raw<{ rows: { statement: string }[] }>("select statement from pg_prepared_statements order by 1;");
	return rows.map(({ statement }) => statement);
}

for (const [version, knex, client] of [
	["3.3", knex33, ForkSafePostgres],
	["3.1", knex31, forkSafe(dialectOf31("postgres"))],
] as const) {
	describe(`prepare, over Knex ${version}`, () => {
		function open(pool: Knex.PoolConfig, config: Knex.Config = {}): Knex {
			const db = knex({ client, connection: postgresUrl("TCP") as string, pool: { min: 0, max: 1, ...pool }, ...config });
			afterThisTest(() => db.destroy());
			return db;
		}

		it("is an option of the pool, and prepares what comes again", async () => {
			const db = open({ prepare: { minUses: 2 } });
			for (let n = 0; n < 3; n++) expect((await db.raw("select ?::int as n", [n])).rows).to.deep.equal([{ n }]);
			expect(await prepared(db)).to.deep.equal(["select $1::int as n"]);
			const without = open({});
			for (let n = 0; n < 10; n++) await without.raw("select ?::int as n", [n]);
			expect(await prepared(without)).to.deep.equal([]);
		});

		it("goes on over changes of a table, in transactions and streams too", async () => {
			const db = open({ prepare: { minUses: 1, max: 5 } });
			await db.raw("create temp table things (n int)");
			await db("things").insert([{ n: 1 }, { n: 2 }]);
			for (let i = 0; i < 2; i++) expect(await db("things").where({ n: 1 })).to.deep.equal([{ n: 1 }]);
			await db.raw("alter table things add column word text default 'new'");
			for (let i = 0; i < 2; i++) expect(await db("things").where({ n: 1 })).to.deep.equal([{ n: 1, word: "new" }]);
			await db.transaction(async (trx) => {
				expect(await trx("things").where({ n: 2 }).update({ word: "changed" })).to.equal(1);
				await trx.raw("savepoint here");
				expect(await trx("things").where({ n: 2 }).first()).to.deep.equal({ n: 2, word: "changed" });
			});
			const streamed = await db("things").where("n", ">", 0).orderBy("n").stream().toArray();
			expect(streamed).to.have.lengthOf(2);
		});

		it("is refused when it is strange, as soon as Knex is made", () => {
			for (const prepare of ["yes", { max: 0 }, { maximum: 1 }]) {
				const error = thrown(() => open({ prepare: prepare as never }));
				expect(error).to.be.instanceOf(OptionError);
			}
			const strange = { connection: { host: "localhost", prepare: 5 } as Knex.PgConnectionConfig };
			expect(thrown(() => open({}, strange)))
				.to.be.instanceOf(OptionError)
				.and.to.include({ option: "prepare" });
		});
	});
}

describe("prepare, over a pool of pg and over mysql2", () => {
	it("comes with the pool that Knex is given", async () => {
		const pool = new Pool({ connectionString: postgresUrl("TCP") ?? "", max: 1, prepare: { minUses: 1 } });
		afterThisTest(() => pool.end());
		const db = knex33({ client: ForkSafePostgres, connectionPool: pool } as Knex.Config);
		await db.raw("select ?::int as n", [1]);
		expect(await prepared(db)).to.deep.equal(["select $1::int as n"]);
	});

	it("is refused for mysql2", () => {
		const open = (): Knex => knex33({ client: forkSafe("mysql2"), connection: "mysql://localhost/db", pool: { prepare: true } });
		expect(thrown(open)).to.be.instanceOf(OptionError).and.to.include({ option: "prepare" });
	});
});
