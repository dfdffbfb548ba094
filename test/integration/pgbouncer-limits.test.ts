/** What may not be used behind a pooler in transaction mode: what is seen there, and what helps. docs/pgbouncer.md tells it. */

import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import { type InflightQueryAbortStrategy, Kysely, PostgresDialect, sql } from "kysely";
import { Migrator } from "kysely/migration";
import type pg from "pg";
import { ask } from "../faces/postgres-view.ts";
import { soon } from "../scenarios/scenario.ts";
import { afterThisTest } from "../support/after-this-test.ts";
import type { PgBouncer } from "../support/pgbouncer.ts";
import { beginElsewhere, openPgBouncer, serverUrl } from "../support/pooled-faces.ts";
import { rejection } from "../support/promises.ts";
import { untilTrue } from "../support/until-true.ts";

const preset = "transaction-pooler";

function open(url: string, options: object = {}): Pool {
	const pool = new Pool({ connectionString: url, max: 2, ...options });
	afterThisTest(() => pool.end());
	return pool;
}

async function setting(on: pg.Pool | pg.ClientBase, name: string): Promise<unknown> {
	const { rows } = await (on as pg.ClientBase).query(`select current_setting('${name}') as value`);
	return rows[0]?.value;
}

describe("behind PgBouncer in transaction mode", () => {
	let bouncer: PgBouncer;

	beforeEach(async () => {
		bouncer = await openPgBouncer({ default_pool_size: 2 });
	});

	describe("a session", () => {
		it("loses what SET has set, and another client has it", async () => {
			const [mine, others] = [open(bouncer.url, { max: 1 }), open(bouncer.url, { max: 1 })];
			await mine.query("set work_mem = '12345kB'");
			// It takes the server connection that is free.
			const end = await beginElsewhere(bouncer.url);
			expect(await setting(mine, "work_mem"), "mine").not.to.equal("12345kB");
			await end();
			const first = await mine.connect();
			const second = await others.connect();
			await Promise.all([first.query("begin"), second.query("begin")]);
			const seen = [await setting(first, "work_mem"), await setting(second, "work_mem")];
			await Promise.all([first.query("commit"), second.query("commit")]);
			first.release();
			second.release();
			expect(seen).to.include("12345kB");
		});

		it("keeps it for a transaction with SET LOCAL, and for itself in session mode", async () => {
			const pool = open(bouncer.url);
			const client = await pool.connect();
			await client.query("begin");
			await client.query("set local work_mem = '12345kB'");
			expect(await setting(client, "work_mem")).to.equal("12345kB");
			await client.query("commit");
			expect(await setting(client, "work_mem")).not.to.equal("12345kB");
			client.release();

			const inSession = await openPgBouncer({ pool_mode: "session" });
			const own = open(inSession.url, { max: 1 });
			await own.query("set work_mem = '12345kB'");
			const end = await beginElsewhere(inSession.url);
			expect(await setting(own, "work_mem")).to.equal("12345kB");
			await end();
		});

		it("hears nothing that it LISTENs to, which it does in session mode", async () => {
			const heard: Record<string, string[]> = { transaction: [], session: [] };
			const inSession = await openPgBouncer({ pool_mode: "session" });
			for (const [mode, { url }] of [
				["transaction", bouncer],
				["session", inSession],
			] as const) {
				const client = await open(url, { max: 1 }).connect();
				client.on("notification", ({ payload = "" }) => heard[mode]?.push(payload));
				await client.query("listen news");
				afterThisTest(async () => client.release());
			}
			await ask(serverUrl(), "select pg_notify('news', 'news')");
			await untilTrue(() => heard["session"]?.length === 1, { what: "the news has come in session mode" });
			expect(heard).to.deep.equal({ transaction: [], session: ["news"] });
		});

		it("has an advisory lock that is no lock: another client gets it too. That of a transaction is one", async () => {
			const lock = async (on: pg.Pool | pg.ClientBase, sort: "" | "_xact"): Promise<unknown> =>
				(await (on as pg.ClientBase).query(`select pg_try_advisory${sort}_lock(4711) as got`)).rows[0].got;
			const [mine, others] = [open(bouncer.url, { max: 1 }), open(bouncer.url, { max: 1 })];
			expect([await lock(mine, ""), await lock(others, "")]).to.deep.equal([true, true]);
			await bouncer.command("RECONNECT"); // and with its connections, their locks
			const client = await mine.connect();
			await client.query("begin");
			expect([await lock(client, "_xact"), await lock(others, "_xact")]).to.deep.equal([true, false]);
			await client.query("commit");
			client.release();
		});
	});

	describe("a start-up parameter", () => {
		for (const name of ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] as const) {
			it(`${name} is refused, by PgBouncer when it connects, and with the preset when the pool is made`, async () => {
				const error = await rejection(soon(open(bouncer.url, { [name]: 1_000 }).query("select 1"), "the refusal"));
				expect(error).to.include({ code: "08P01", message: `unsupported startup parameter: ${name}` });
				expect(() => new Pool({ connectionString: bouncer.url, preset, [name]: 1_000 })).to.throw("use alter role");
			});
		}

		it("is ignored where ignore_startup_parameters names it: no time-out is set", async () => {
			const lenient = await openPgBouncer({ ignore_startup_parameters: "statement_timeout" });
			expect(await setting(open(lenient.url, { statement_timeout: 1_000 }), "statement_timeout")).to.equal("0");
		});

		it("that PgBouncer keeps track of goes with the client: application_name, client_encoding", async () => {
			const pool = open(bouncer.url, { preset, application_name: "mine", client_encoding: "UTF8" });
			expect(await setting(pool, "application_name")).to.equal("mine");
		});
	});

	it("a named statement is not found by another backend, and needs PgBouncer 1.21 with max_prepared_statements", async () => {
		const client = await open(bouncer.url).connect();
		const statement = { name: "sum", text: "select $1::int + 1 as sum", values: [1] };
		await client.query(statement);
		const end = await beginElsewhere(bouncer.url);
		const again = client.query(statement).then(
			({ rows }) => rows,
			({ code }: { code: string }) => code,
		);
		expect(await again).to.deep.equal(keepsStatements(bouncer) ? [{ sum: 2 }] : "26000");
		await end();
		client.release();
	});

	describe("a query is cancelled", () => {
		const SLOW = "select pg_sleep(20)";

		async function untilRunning(count: number): Promise<void> {
			const servers = async (): Promise<number> => {
				const all = await bouncer.command<{ state: string }>("SHOW SERVERS");
				return all.filter(({ state }) => state === "active").length;
			};
			await untilTrue(async () => (await servers()) === count, { what: `${count} backends are busy`, deadlineMillis: 8_000 });
		}

		function openKnex(client: Knex.Config["client"] & {}): Knex {
			const db = knex({ client, connection: bouncer.url, pool: { min: 0, max: 1 }, log: { warn() {} } });
			afterThisTest(() => db.destroy());
			return db;
		}

		it("by Knex's time-out, and its connection goes on", async () => {
			const db = openKnex(ForkSafePostgres);
			await db.raw("select 1");
			const error = await rejection(db.raw(SLOW).timeout(200, { cancel: true }));
			expect(error).to.have.property("name", "KnexTimeoutError");
			await untilRunning(0);
			expect((await db.raw("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
		});

		it("not by plain Knex, which asks for a backend's pid", async () => {
			const db = openKnex("pg");
			await db.raw("select 1");
			const slow = db.raw("select pg_sleep(2)").timeout(200, { cancel: true });
			void slow.catch(() => {});
			await untilRunning(1);
			const [held] = db.client.pool.used as { resource: object }[];
			await db.client.cancelQuery(held?.resource).catch(() => {});
			await untilRunning(1);
			await rejection(slow);
		});

		for (const strategy of ["cancel query", "kill session"] satisfies InflightQueryAbortStrategy[]) {
			it(`by Kysely's abort with "${strategy}", and the pool goes on`, async () => {
				const db = new Kysely<unknown>({
					dialect: new ForkSafePostgresDialect({ pool: { connectionString: bouncer.url, max: 1, preset } }),
				});
				afterThisTest(() => db.destroy());
				await sql`select 1`.execute(db);
				const controller = new AbortController();
				const { signal } = controller;
				const slow = rejection(sql.raw(SLOW).execute(db, { signal, inflightQueryAbortStrategy: strategy }));
				await untilRunning(1);
				controller.abort(new Error("nobody wants it"));
				expect(await slow).to.have.property("message", "nobody wants it");
				await untilRunning(0);
				expect((await sql`select 1 as n`.execute(db)).rows).to.deep.equal([{ n: 1 }]);
			});
		}

		it("not by Kysely's own dialect, which asks for a backend's pid", async () => {
			const pool = open(bouncer.url, { max: 1 });
			const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
			const controller = new AbortController();
			const { signal } = controller;
			const slow = sql.raw("select pg_sleep(2)").execute(db, { signal, inflightQueryAbortStrategy: "cancel query" });
			void slow.catch(() => {});
			await untilRunning(1);
			const since = performance.now();
			controller.abort(new Error("nobody wants it"));
			await untilTrue(() => pool.idleCount === 1, { what: "the query has ended" });
			expect(performance.now() - since).to.be.above(500);
		});
	});

	describe("migrations", () => {
		const schema = "behind_a_pooler";

		beforeEach(() =>
			ask(serverUrl(), `drop schema if exists ${schema} cascade`).then(() => ask(serverUrl(), `create schema ${schema}`)),
		);
		afterEach(() => ask(serverUrl(), `drop schema if exists ${schema} cascade`));

		it("of Knex run: their lock is a table", async () => {
			const db = knex({ client: ForkSafePostgres, connection: bouncer.url, pool: { min: 0, max: 2, preset } });
			afterThisTest(() => db.destroy());
			const migrationSource = {
				getMigrations: async () => ["one"],
				getMigrationName: (name: string) => name,
				getMigration: async () => ({
					up: (trx: Knex) => trx.schema.withSchema(schema).createTable("words", (table) => void table.text("word")),
					down: async () => {},
				}),
			};
			expect(await db.migrate.latest({ migrationSource, schemaName: schema })).to.deep.equal([1, ["one"]]);
		});

		it("of Kysely can leave their lock behind, and need a connection that bypasses it", async () => {
			const locks = async (): Promise<number> => {
				const held = "select count(*)::int as n from pg_locks where locktype = 'advisory'";
				return (await ask<{ n: number }>(serverUrl(), held))[0]?.n ?? 0;
			};
			const migrate = async (url: string, up: () => Promise<void>): Promise<void> => {
				const db = new Kysely<unknown>({ dialect: new ForkSafePostgresDialect({ pool: { connectionString: url, max: 1 } }) });
				const provider = { getMigrations: async () => ({ one: { up } }) };
				const { error } = await new Migrator({ db, provider, migrationTableSchema: schema }).migrateToLatest();
				await db.destroy();
				expect(error).to.equal(undefined);
			};
			await migrate(serverUrl(), async () => {});
			expect(await locks(), "locks after a run without PgBouncer").to.equal(0);
			await ask(serverUrl(), `drop schema ${schema} cascade`);
			await ask(serverUrl(), `create schema ${schema}`);

			const [taken, next] = [Promise.withResolvers<() => Promise<void>>(), Promise.withResolvers<() => Promise<void>>()];
			const run = migrate(bouncer.url, async () => {
				// From now on no server connection is free, and the one of this transaction goes to whoever waits first.
				taken.resolve(await beginElsewhere(bouncer.url));
				beginElsewhere(bouncer.url).then(next.resolve, next.reject);
				const waiting = async (): Promise<boolean> => {
					const pools = await bouncer.command<{ cl_waiting: string }>("SHOW POOLS");
					return pools.some((pool) => Number(pool.cl_waiting) > 0);
				};
				await untilTrue(waiting, { what: "somebody waits" });
			});
			const endNext = await next.promise;
			await (await taken.promise)();
			await run;
			await endNext();
			expect(await locks(), "locks after the run").to.equal(1);
		});
	});
});

function keepsStatements({ version }: PgBouncer): boolean {
	const [major = 0, minor = 0] = version.split(".").map(Number);
	// 1.24 has it on by default; before, it is 0.
	return major > 1 || minor >= 24;
}
