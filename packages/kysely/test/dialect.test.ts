import { inspect } from "node:util";
import { OptionError } from "@forksafe/core";
import { Client, Pool } from "@forksafe/pg";
import { expect } from "chai";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { kyselyVersion } from "../../../test/support/kysely-version.ts";
import { rejection, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafePostgresDialect, type ForkSafePostgresDialectConfig } from "../src/index.ts";
import { backendOf, destroyAll, open, poolOptions, sessions } from "./support/database.ts";

type GivenPool = ForkSafePostgresDialectConfig["pool"];

const forms: Record<string, (options: pg.PoolConfig) => GivenPool> = {
	options: (options) => options,
	"options without a prototype": (options) => Object.assign(Object.create(null), options),
	"a pool": (options) => new Pool(options),
	"a function": (options) => () => new Pool(options),
	"an async function": (options) => async () => new Pool(options),
};

describe("ForkSafePostgresDialect", () => {
	afterEach(destroyAll);

	it(`is a PostgresDialect of Kysely ${kyselyVersion(import.meta.resolve("kysely"))}`, () => {
		expect(new ForkSafePostgresDialect({ pool: {} })).to.be.instanceOf(PostgresDialect);
	});

	for (const [form, pool] of Object.entries(forms)) {
		it(`takes ${form}, and ends it with destroy()`, async () => {
			const options = poolOptions({ max: 1 });
			const db = open({ pool: pool(options) });
			expect(await backendOf(db)).to.equal(await backendOf(db));
			expect(await sessions(options.application_name)).to.equal(1);
			await db.destroy();
			await untilTrue(async () => (await sessions(options.application_name)) === 0, { what: "it is closed" });
		});
	}

	it("asks a function once, when the first query needs it", async () => {
		let asked = 0;
		const db = open({
			pool: () => {
				asked++;
				return new Pool(poolOptions());
			},
		});
		expect(asked).to.equal(0);
		await Promise.all([backendOf(db), backendOf(db)]);
		await backendOf(db);
		expect(asked).to.equal(1);
	});

	it("may be destroyed before it was used, and twice", async () => {
		const db = open({ pool: poolOptions() });
		await db.destroy();
		await db.destroy();
		const used = open({ pool: poolOptions() });
		await backendOf(used);
		await used.destroy();
		await used.destroy();
		expect(await rejection(backendOf(used))).to.be.instanceOf(Error);
	});

	it("does what the pool's options say", async () => {
		const db = open({ pool: poolOptions({ max: 1, options: "-c search_path=pg_catalog" }) });
		const { rows } = await sql`show search_path`.execute(db);
		expect(rows).to.deep.equal([{ search_path: "pg_catalog" }]);
	});

	it("refuses a control client that would cancel the query of another process, and takes ours", () => {
		for (const controlClient of [pg.Client, class extends pg.Client {}, 5, {}]) {
			const error = thrown(() => new ForkSafePostgresDialect({ pool: {}, controlClient: controlClient as never }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "controlClient", value: controlClient });
		}
		for (const controlClient of [Client, class extends Client {}, undefined]) {
			new ForkSafePostgresDialect({ pool: {}, controlClient: controlClient as never });
		}
	});

	it("refuses hooks and cursors that are no functions", () => {
		for (const option of ["cursor", "onCreateConnection", "onReserveConnection"]) {
			const error = thrown(() => new ForkSafePostgresDialect({ pool: {}, [option]: 5 }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option, value: 5 });
		}
	});

	const url = "postgres://me:horse@localhost/db";
	const refused: unknown[] = [undefined, null, 5, "a text", url, [], new Date(0), new (class Mine {})(), new pg.Client()];
	for (const pool of refused) {
		it(`refuses ${inspect(pool, { depth: -1 })} for a pool, and does not print it`, () => {
			const error = thrown(() => new ForkSafePostgresDialect({ pool: pool as GivenPool })) as OptionError;
			expect(error).to.be.instanceOf(OptionError).and.to.include({ code: "ERR_FORKSAFE_OPTION", option: "pool", value: pool });
			expect(inspect(error)).not.to.include("horse");
		});
	}

	it("refuses a pool of pg, whose connections are not guarded", async () => {
		const pool = new pg.Pool();
		const error = thrown(() => new ForkSafePostgresDialect({ pool: pool as Pool })) as OptionError;
		expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "pool", value: pool });
		expect(error.message).to.include("must be a Pool of @forksafe/pg");
	});

	it("refuses a pool of pg from a function when the first query needs it, and every time", async () => {
		const pool = new pg.Pool(poolOptions() as pg.PoolConfig);
		for (const make of [() => pool as Pool, async () => pool as Pool, () => url as never, () => undefined as never]) {
			const db = new Kysely({ dialect: new ForkSafePostgresDialect({ pool: make }) });
			for (const _ of [1, 2]) {
				const error = (await rejection(backendOf(db as never))) as OptionError;
				expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "pool" });
				expect(inspect(error)).not.to.include("horse");
			}
		}
		expect(pool.totalCount).to.equal(0);
	});

	it("passes on what a function throws", async () => {
		const failure = new Error("no secret today");
		const db = new Kysely({
			dialect: new ForkSafePostgresDialect({
				pool: async () => {
					throw failure;
				},
			}),
		});
		expect(await rejection(backendOf(db as never))).to.equal(failure);
	});

	it("refuses options that do not exist, and names the one that looks like it", () => {
		const error = thrown(() => new ForkSafePostgresDialect({ pool: {}, curser: 5 } as never)) as OptionError;
		expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "curser", value: 5 });
		expect(error.message).to.include("did you mean cursor?");
		expect(thrown(() => new ForkSafePostgresDialect(undefined as never))).to.be.instanceOf(OptionError);
	});

	const badPools: Record<string, unknown> = { max: 0, min: -1, idleTimeoutMillis: "soon", maxx: 5, processWatch: "sometimes" };
	for (const [option, value] of Object.entries(badPools)) {
		it(`refuses the pool's option ${option}: ${inspect(value)} at construction`, () => {
			const error = thrown(() => new ForkSafePostgresDialect({ pool: { [option]: value } }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option, value });
		});
	}

	it("takes Kysely's other options, without a cast", () => {
		new ForkSafePostgresDialect({
			pool: { max: 3, maxPending: 5, processWatch: "once", onProcessChange: (change) => void change.pid },
			onCreateConnection: async (connection) => void connection.executeQuery,
			onReserveConnection: async () => {},
		} satisfies ForkSafePostgresDialectConfig);
	});
});
