/**
 * What `pnpm check` accepts and refuses of the configuration, over both versions of Kysely (`tsconfig.kysely-0.28.json`). What it
 * refuses is refused at construction too, for those who use no TypeScript.
 */
import { OptionError, type ProcessChange } from "@forksafe/core";
import { Client, Pool } from "@forksafe/pg";
import { expect } from "chai";
import { type DatabaseConnection, type Dialect, Kysely, PostgresDialect, type PostgresDialectConfig } from "kysely";
import pg from "pg";
import Cursor from "pg-cursor";
import { thrown } from "../../../test/support/promises.ts";
import { ForkSafePostgresDialect, type ForkSafePostgresDialectConfig } from "../src/index.ts";

interface Database {
	users: { id: number; email: string | null };
}

/** A setting that may or may not be there. */
function maybe<T>(value: T): T | undefined {
	return value;
}

const accepted: Record<string, () => Dialect> = {
	"options of a pool": () =>
		new ForkSafePostgresDialect({
			pool: {
				connectionString: "postgres://localhost/",
				max: 5,
				maxPending: 100,
				processWatch: "once",
				onProcessChange: ({ cause, previousPid, pid }: ProcessChange) => void `${cause.toUpperCase()}: ${previousPid - pid}`,
			},
		}),
	"a pool, its own class of clients, pg-cursor and hooks": () =>
		new ForkSafePostgresDialect({
			pool: new Pool(),
			cursor: Cursor,
			controlClient: class extends Client {},
			onCreateConnection: async (connection) => void connection.executeQuery,
			onReserveConnection: async (connection: DatabaseConnection) => void connection.streamQuery,
		}),
	"a pool of a class that extends ours": () => new ForkSafePostgresDialect({ pool: new (class extends Pool {})() }),
	"a function": () => new ForkSafePostgresDialect({ pool: () => new Pool() }),
	"an async function that hears of the signal": () =>
		new ForkSafePostgresDialect({ pool: async (options) => new Pool(options?.signal?.aborted ? {} : { max: 5 }) }),
	"options that may be undefined, with exactOptionalPropertyTypes": () =>
		new ForkSafePostgresDialect({
			pool: {
				connectionString: maybe("postgres://localhost/"),
				max: maybe(5),
				idleTimeoutMillis: maybe(5),
				processWatch: maybe("off" as const),
				maxPending: undefined,
				onProcessChange: undefined,
			},
			cursor: maybe(Cursor),
			controlClient: maybe(Client),
			onCreateConnection: undefined,
			onReserveConnection: undefined,
		}),
	"our pool, by Kysely's own dialect": () => new PostgresDialect({ pool: new Pool(), cursor: Cursor }),
	"an async function that opens our pool, by Kysely's own dialect": () => new PostgresDialect({ pool: async () => new Pool() }),
	"what was configured for Kysely's own dialect, but for the pool": () => {
		const config: Omit<PostgresDialectConfig, "pool" | "controlClient"> = { cursor: Cursor };
		return new ForkSafePostgresDialect({ ...config, pool: {} });
	},
};

describe("the types of the dialect's configuration", () => {
	for (const [what, dialect] of Object.entries(accepted)) {
		it(`accept ${what}`, async () => {
			const db = new Kysely<Database>({ dialect: dialect() });
			expect(db.selectFrom("users").select("email").compile().sql).to.equal('select "email" from "users"');
			await db.destroy();
		});
	}

	it("leave those of queries alone", () => {
		const db = new Kysely<Database>({ dialect: new ForkSafePostgresDialect({ pool: {} }) });
		const query = (): Promise<{ email: string | null }[]> => db.selectFrom("users").select("email").execute();
		// @ts-expect-error
		const wrong = (): Promise<{ email: string }[]> => db.selectFrom("users").select("email").execute();
		// @ts-expect-error
		const noColumn = (): unknown => db.selectFrom("users").select("name");
		expect([query, wrong, noColumn]).to.have.lengthOf(3);
	});

	it("refuse a configuration without a pool", () => {
		// @ts-expect-error
		expectRefused("pool", () => new ForkSafePostgresDialect({}));
		// @ts-expect-error
		expectRefused("options", () => new ForkSafePostgresDialect());
		// @ts-expect-error
		expectRefused("pool", () => new ForkSafePostgresDialect({ pool: undefined }));
	});

	it("refuse a pool that is not ours, and a promise of one", () => {
		// @ts-expect-error
		expectRefused("pool", () => new ForkSafePostgresDialect({ pool: new pg.Pool() }));
		// @ts-expect-error
		expectRefused("pool", () => new ForkSafePostgresDialect({ pool: Promise.resolve(new Pool()) }));
		// @ts-expect-error
		expectRefused("pool", () => new ForkSafePostgresDialect({ pool: "postgres://localhost/" }));
		// @ts-expect-error
		const config: ForkSafePostgresDialectConfig = { pool: () => new pg.Pool() };
		expect(config).to.have.property("pool"); // refused by the first query
	});

	it("refuse options of the pool that do not exist, or have a wrong type", () => {
		// @ts-expect-error
		expectRefused("maxPendng", () => new ForkSafePostgresDialect({ pool: { maxPendng: 5 } }));
		// @ts-expect-error
		expectRefused("max", () => new ForkSafePostgresDialect({ pool: { max: "5" } }));
		// @ts-expect-error
		expectRefused("processWatch", () => new ForkSafePostgresDialect({ pool: { processWatch: "sometimes" } }));
		// @ts-expect-error
		expectRefused("onProcessChange", () => new ForkSafePostgresDialect({ pool: { onProcessChange: "log it" } }));
	});

	it("refuse options of the dialect that do not exist, or have a wrong type", () => {
		// @ts-expect-error
		expectRefused("curser", () => new ForkSafePostgresDialect({ pool: {}, curser: Cursor }));
		// @ts-expect-error
		expectRefused("cursor", () => new ForkSafePostgresDialect({ pool: {}, cursor: "pg-cursor" }));
		// @ts-expect-error
		expectRefused("controlClient", () => new ForkSafePostgresDialect({ pool: {}, controlClient: pg.Client }));
		// @ts-expect-error
		expectRefused("onCreateConnection", () => new ForkSafePostgresDialect({ pool: {}, onCreateConnection: "set role" }));
		// @ts-expect-error
		expectRefused("onReserveConnection", () => new ForkSafePostgresDialect({ pool: {}, onReserveConnection: {} }));
	});
});

function expectRefused(option: string, construct: () => unknown): void {
	expect(thrown(construct)).to.be.instanceOf(OptionError).and.to.include({ option });
}
