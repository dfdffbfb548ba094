import { type Dialect, Kysely, sql } from "kysely";
import { needBuilt } from "./built-packages.ts";
import type { FaceOptions, OpenFace, Style } from "./faces.ts";
import { prepareOption } from "./pg-face.ts";
import type { Tables } from "./query-tables.ts";

export async function openKysely(options: FaceOptions): Promise<OpenFace> {
	const db = new Kysely<Tables>({ dialect: await openDialect(options) });
	return { ask: asks[options.style](db), end: () => db.destroy() };
}

async function openDialect({ url: connectionString, max, pool }: FaceOptions): Promise<Dialect> {
	if (pool === "own") {
		const [{ default: pg }, { PostgresDialect }] = await Promise.all([import("pg"), import("kysely")]);
		return new PostgresDialect({ pool: new pg.Pool({ connectionString, max }) });
	}
	needBuilt("@forksafe/kysely");
	const { ForkSafePostgresDialect } = await import("@forksafe/kysely");
	return new ForkSafePostgresDialect({ pool: { connectionString, max, ...prepareOption(pool) } });
}

const asks: Record<Style, (db: Kysely<Tables>) => OpenFace["ask"]> = {
	raw: (db) => ({
		"select 1": () => sql`select 1 as one`.execute(db),
		"select by primary key": (id) => sql`select id, name, balance from bench where id = ${id}`.execute(db),
		insert: (id) => sql`insert into bench_log (bench_id, amount) values (${id}, ${1})`.execute(db),
		"transaction of three statements": (id) =>
			db.transaction().execute(async (trx) => {
				await sql`select balance from bench where id = ${id} for update`.execute(trx);
				await sql`update bench set balance = balance + 1 where id = ${id}`.execute(trx);
				await sql`insert into bench_log (bench_id, amount) values (${id}, ${1})`.execute(trx);
			}),
	}),
	builder: (db) => ({
		"select 1": () => db.selectNoFrom((eb) => eb.lit(1).as("one")).execute(),
		"select by primary key": (id) => db.selectFrom("bench").select(["id", "name", "balance"]).where("id", "=", id).execute(),
		insert: (id) => db.insertInto("bench_log").values({ bench_id: id, amount: 1 }).execute(),
		"transaction of three statements": (id) =>
			db.transaction().execute(async (trx) => {
				await trx.selectFrom("bench").select("balance").where("id", "=", id).forUpdate().execute();
				await trx
					.updateTable("bench")
					.set((eb) => ({ balance: eb("balance", "+", 1) }))
					.where("id", "=", id)
					.execute();
				await trx.insertInto("bench_log").values({ bench_id: id, amount: 1 }).execute();
			}),
	}),
};
