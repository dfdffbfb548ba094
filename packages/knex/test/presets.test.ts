/** What a preset is for is shown behind a PgBouncer: test/integration/pgbouncer-preset.test.ts. */
import { OptionError } from "@forksafe/core";
import { expect } from "chai";
import knex33, { type Knex } from "knex";
import { rejection, thrown } from "../../../test/support/promises.ts";
import { ForkSafePostgres, forkSafe } from "../src/index.ts";
import { dialectOf31, knex31 } from "./support/subjects.ts";

const preset = "transaction-pooler";

for (const [version, knex, client] of [
	["3.3", knex33, ForkSafePostgres],
	["3.1", knex31, forkSafe(dialectOf31("postgres"))],
] as const) {
	describe(`preset, over Knex ${version}`, () => {
		const open = (pool: Knex.PoolConfig, config: Knex.Config = {}): Knex =>
			knex({ client, connection: "postgres://localhost/db", pool: { min: 0, ...pool }, ...config });

		it("has other defaults, and leaves what is given as it is", () => {
			expect(open({ preset }).client.pool).to.include({ idleTimeoutMillis: 300_000 });
			expect(open({ preset }).client.pool.engine.options).to.include({ validateAfterIdleMillis: 0 });
			const given = open({ preset, idleTimeoutMillis: 7_000, validateAfterIdleMillis: 500 }).client.pool;
			expect(given).to.include({ idleTimeoutMillis: 7_000 });
			expect(given.engine.options).to.include({ validateAfterIdleMillis: 500 });
			expect(open({}).client.pool).to.include({ idleTimeoutMillis: 30_000 });
		});

		it("is refused when it does not exist", () => {
			const error = thrown(() => open({ preset: "pgbouncer" as never }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "preset", value: "pgbouncer" });
		});

		it("refuses what is for a session", () => {
			const searchPath = thrown(() => open({ preset }, { searchPath: ["mine"] }));
			expect(searchPath).to.be.instanceOf(OptionError).and.to.include({ option: "searchPath" });
			const connection = { host: "localhost", statement_timeout: 1_000 };
			expect(thrown(() => open({ preset }, { connection }))).to.include({ option: "statement_timeout" });
			open({}, { connection, searchPath: ["mine"] });
		});

		it("refuses prepared statements, beside the pool's options and beside those of the connection", () => {
			const connection = { host: "localhost", prepare: true } as Knex.PgConnectionConfig;
			for (const error of [thrown(() => open({ preset, prepare: true })), thrown(() => open({ preset }, { connection }))]) {
				expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "prepare" });
			}
			open({ preset, prepare: false });
		});

		it("refuses it also from a function, which is asked later", async () => {
			const db = open({ preset }, { connection: () => ({ host: "localhost", statement_timeout: 1_000 }) });
			expect(await rejection(db.raw("select 1"))).to.include({ option: "statement_timeout" });
		});
	});
}

describe("preset, over mysql2", () => {
	it("is refused", () => {
		const open = (): Knex => knex33({ client: forkSafe("mysql2"), connection: "mysql://localhost/db", pool: { preset } });
		expect(thrown(open)).to.be.instanceOf(OptionError).and.to.include({ option: "preset" });
	});
});
