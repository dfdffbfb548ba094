/**
 * What `pnpm check` has to refuse is refused at construction too, for those who use no TypeScript. Beyond the types: Knex's own
 * have options that its pool does not know any more (`refreshIdle`, `returnToHead`, `priorityRange`) and call every function an
 * `afterCreate`; what they know is known of every client, also of those without forksafe; and keys are checked in a literal only.
 */
import { OptionError } from "@forksafe/core";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import { thrown } from "../../../test/support/promises.ts";
import { ForkSafePostgres, forkSafe, type TarnPoolOptions } from "../src/index.ts";

/** What the client itself gives to its pool. */
type OfClient = "create" | "destroy" | "ping" | "isTransient" | "ref" | "unref" | "discard";
type Unknown = Exclude<keyof TarnPoolOptions<object>, OfClient | keyof Knex.PoolConfig>;

interface User {
	id: number;
	email: string;
}

const client = ForkSafePostgres;
/** Without one, Knex makes no pool. Nothing is connected to. */
const connection = "postgres://localhost/";

describe("the types of Knex's configuration", () => {
	it("know every option of the pool", () => {
		const unknown: [Unknown] extends [never] ? "none" : Unknown = "none";
		expect(unknown).to.equal("none");
	});

	it("take a guarded client and forksafe's options, without a cast", async () => {
		const db = knex<User, User[]>({
			client,
			connection,
			pool: {
				name: "main",
				min: 0,
				max: 5,
				maxPending: 100,
				processWatch: "once",
				onProcessChange: ({ cause, previousPid, pid }) => void `${cause.toUpperCase()}: ${previousPid - pid}`,
				validateAfterIdleMillis: 500,
				validateTimeoutMillis: 1_000,
				connectHeadStartMillis: 0,
				maxConnecting: 2,
				permits: { acquire: () => {}, release: () => {} },
				leakThresholdMillis: 60_000,
				keepsMin: false,
				allowExitOnIdle: false,
			},
		});
		const query: Knex.QueryBuilder<User, User[]> = db("users");
		expect(query.toSQL().sql).to.equal('select * from "users"');
		await db.destroy();
	});

	it("take configurations by environment, and a connection that is asked for", async () => {
		const knexfile: Record<string, Knex.Config> = {
			production: {
				client: forkSafe("cockroachdb"),
				connection: () => ({ connectionString: connection, ssl: true }),
				pool: { max: 5, processWatch: "off" },
			},
		};
		await knex(knexfile["production"] ?? {}).destroy();
	});

	it("refuse an option that is misspelt, or of another pool", () => {
		// @ts-expect-error
		expectRefused("maxPendng", () => knex({ client, connection, pool: { maxPendng: 5 } }));
		// @ts-expect-error
		expectRefused("procesWatch", () => knex({ client, connection, pool: { min: 0, procesWatch: "once" } }));
		// @ts-expect-error
		expectRefused("connectionTimeoutMillis", () => knex({ client, connection, pool: { connectionTimeoutMillis: 5 } }));
	});

	it("refuse a value of a wrong type", () => {
		// @ts-expect-error
		expectRefused("processWatch", () => knex({ client, connection, pool: { processWatch: "sometimes" } }));
		// @ts-expect-error
		expectRefused("processWatch", () => knex({ client, connection, pool: { processWatch: true } }));
		// @ts-expect-error
		expectRefused("onProcessChange", () => knex({ client, connection, pool: { onProcessChange: "log it" } }));
		// @ts-expect-error
		expectRefused("maxPending", () => knex({ client, connection, pool: { maxPending: "5" } }));
		// @ts-expect-error
		expectRefused("validateAfterIdleMillis", () => knex({ client, connection, pool: { validateAfterIdleMillis: "1 s" } }));
		// @ts-expect-error
		expectRefused("validateTimeoutMillis", () => knex({ client, connection, pool: { validateTimeoutMillis: true } }));
		// @ts-expect-error
		expectRefused("connectHeadStartMillis", () => knex({ client, connection, pool: { connectHeadStartMillis: null } }));
		// @ts-expect-error
		expectRefused("maxConnecting", () => knex({ client, connection, pool: { maxConnecting: {} } }));
		// @ts-expect-error
		expectRefused("leakThresholdMillis", () => knex({ client, connection, pool: { leakThresholdMillis: "60000" } }));
		// @ts-expect-error
		expectRefused("keepsMin", () => knex({ client, connection, pool: { keepsMin: 1 } }));
		// @ts-expect-error
		expectRefused("allowExitOnIdle", () => knex({ client, connection, pool: { allowExitOnIdle: "no" } }));
		// @ts-expect-error
		expectRefused("name", () => knex({ client, connection, pool: { name: 5 } }));
	});

	it("refuse a callback that takes something else than a change", () => {
		// @ts-expect-error
		const pool: Knex.PoolConfig = { onProcessChange: (change: string) => change.length };
		// @ts-expect-error
		const other: Knex.PoolConfig = { onProcessChange: ({ oldPid }) => oldPid };
		// At run time a function is a function.
		expect([pool, other]).to.have.lengthOf(2);
	});

	it("refuse a pool that is none", () => {
		// @ts-expect-error
		expectRefused("pool", () => knex({ client, connection, pool: [] }));
		// @ts-expect-error
		expectRefused("pool", () => knex({ client, connection, pool: 5 }));
	});

	it("refuse a dialect that is neither a name nor a class", () => {
		// @ts-expect-error
		expectRefused("dialect", () => forkSafe({}));
		// @ts-expect-error
		expectRefused("dialect", () => forkSafe());
	});
});

function expectRefused(option: string, construct: () => unknown): void {
	expect(thrown(construct)).to.be.instanceOf(OptionError).and.to.include({ option });
}
