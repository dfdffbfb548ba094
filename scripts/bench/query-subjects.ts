/** The same queries through each library, raw and by its builder. */
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import knex, { type Knex } from "knex";
import { type Dialect, Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";

export const libraries = ["Knex", "Kysely"] as const;
export type Library = (typeof libraries)[number];
export const kinds = ["select by primary key", "insert", "transaction of three statements"] as const;
export type Kind = (typeof kinds)[number];
export const styles = ["raw", "builder"] as const;
export type Style = (typeof styles)[number];

/** A library over one pool. */
export interface Subject {
	ask(id: number): PromiseLike<unknown>;
	end(): Promise<void>;
}

const POOL_SIZE = 10;

/** Opens the library, over forksafe or not, to ask queries of one kind. */
export function openSubject(library: Library, isOurs: boolean, url: string, kind: Kind, style: Style): Subject {
	if (library === "Knex") {
		const client = isOurs ? ForkSafePostgres : "pg";
		const db = knex({ client, connection: url, pool: { min: 0, max: POOL_SIZE } });
		const ask = knexAsks[kind][style];
		return { ask: (id) => ask(db, id), end: () => db.destroy() };
	}
	const db = new Kysely<Tables>({ dialect: kyselyDialect(isOurs, url) });
	const ask = kyselyAsks[kind][style];
	return { ask: (id) => ask(db, id), end: () => db.destroy() };
}

const knexAsks: Record<Kind, Record<Style, (db: Knex, id: number) => PromiseLike<unknown>>> = {
	"select by primary key": {
		raw: (db, id) => db.raw("select id, name, balance from bench where id = ?", [id]),
		builder: (db, id) => db("bench").select("id", "name", "balance").where({ id }),
	},
	insert: {
		raw: (db, id) => db.raw("insert into bench_log (bench_id, amount) values (?, ?)", [id, 1]),
		builder: (db, id) => db("bench_log").insert({ bench_id: id, amount: 1 }),
	},
	"transaction of three statements": {
		raw: (db, id) =>
			db.transaction(async (trx) => {
				await trx.raw("select balance from bench where id = ? for update", [id]);
				await trx.raw("update bench set balance = balance + 1 where id = ?", [id]);
				await trx.raw("insert into bench_log (bench_id, amount) values (?, ?)", [id, 1]);
			}),
		builder: (db, id) =>
			db.transaction(async (trx) => {
				await trx("bench").select("balance").where({ id }).forUpdate();
				await trx("bench").where({ id }).increment("balance", 1);
				await trx("bench_log").insert({ bench_id: id, amount: 1 });
			}),
	},
};

interface Tables {
	bench: { id: number; name: string; balance: number };
	bench_log: { bench_id: number; amount: number };
}

const kyselyAsks: Record<Kind, Record<Style, (db: Kysely<Tables>, id: number) => PromiseLike<unknown>>> = {
	"select by primary key": {
		raw: (db, id) => sql`select id, name, balance from bench where id = ${id}`.execute(db),
		builder: (db, id) => db.selectFrom("bench").select(["id", "name", "balance"]).where("id", "=", id).execute(),
	},
	insert: {
		raw: (db, id) => sql`insert into bench_log (bench_id, amount) values (${id}, ${1})`.execute(db),
		builder: (db, id) => db.insertInto("bench_log").values({ bench_id: id, amount: 1 }).execute(),
	},
	"transaction of three statements": {
		raw: (db, id) =>
			db.transaction().execute(async (trx) => {
				await sql`select balance from bench where id = ${id} for update`.execute(trx);
				await sql`update bench set balance = balance + 1 where id = ${id}`.execute(trx);
				await sql`insert into bench_log (bench_id, amount) values (${id}, ${1})`.execute(trx);
			}),
		builder: (db, id) =>
			db.transaction().execute(async (trx) => {
				await trx.selectFrom("bench").select("balance").where("id", "=", id).forUpdate().execute();
				await trx
					.updateTable("bench")
					.set((eb) => ({ balance: eb("balance", "+", 1) }))
					.where("id", "=", id)
					.execute();
				await trx.insertInto("bench_log").values({ bench_id: id, amount: 1 }).execute();
			}),
	},
};

function kyselyDialect(isOurs: boolean, url: string): Dialect {
	const options = { connectionString: url, max: POOL_SIZE };
	if (isOurs) return new ForkSafePostgresDialect({ pool: options });
	return new PostgresDialect({ pool: new pg.Pool(options) });
}

export const ROWS = 1_000;

/** The tables that all of them use. */
export async function createTables(url: string): Promise<void> {
	const client = new pg.Client(url);
	await client.connect();
	await client.query("drop table if exists bench, bench_log");
	await client.query("create table bench (id int primary key, name text not null, balance int not null)");
	await client.query("create unlogged table bench_log (bench_id int not null, amount int not null)");
	await client.query("insert into bench select n, 'name ' || n, 0 from generate_series(1, $1::int) n", [ROWS]);
	await client.end();
}
