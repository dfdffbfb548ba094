import type { Knex } from "knex";
import { needBuilt } from "./built-packages.ts";
import type { FaceOptions, OpenFace, Style } from "./faces.ts";
import { prepareOption } from "./pg-face.ts";

export async function openKnex({ url, max, pool, style }: FaceOptions): Promise<OpenFace> {
	const { default: knex } = await import("knex");
	const client = pool === "own" ? "pg" : await forkSafeClient();
	const db = knex({ client, connection: url, pool: { min: 0, max, ...prepareOption(pool) } });
	return { ask: asks[style](db), end: () => db.destroy() };
}

async function forkSafeClient(): Promise<typeof Knex.Client> {
	needBuilt("@forksafe/knex");
	return (await import("@forksafe/knex")).ForkSafePostgres;
}

const asks: Record<Style, (db: Knex) => OpenFace["ask"]> = {
	raw: (db) => ({
		"select 1": () => db.raw("select 1 as one"),
		"select by primary key": (id) => db.raw("select id, name, balance from bench where id = ?", [id]),
		insert: (id) => db.raw("insert into bench_log (bench_id, amount) values (?, ?)", [id, 1]),
		"transaction of three statements": (id) =>
			db.transaction(async (trx) => {
				await trx.raw("select balance from bench where id = ? for update", [id]);
				await trx.raw("update bench set balance = balance + 1 where id = ?", [id]);
				await trx.raw("insert into bench_log (bench_id, amount) values (?, ?)", [id, 1]);
			}),
	}),
	builder: (db) => ({
		"select 1": () => db.select(db.raw("1 as one")),
		"select by primary key": (id) => db("bench").select("id", "name", "balance").where({ id }),
		insert: (id) => db("bench_log").insert({ bench_id: id, amount: 1 }),
		"transaction of three statements": (id) =>
			db.transaction(async (trx) => {
				await trx("bench").select("balance").where({ id }).forUpdate();
				await trx("bench").where({ id }).increment("balance", 1);
				await trx("bench_log").insert({ bench_id: id, amount: 1 });
			}),
	}),
};
