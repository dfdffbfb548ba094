import { createPool, sql } from "slonik";
import type { FaceOptions, OpenFace } from "./faces.ts";

/** It runs `DISCARD ALL` whenever a connection comes back to its pool. */
export async function openSlonik({ url, max }: FaceOptions): Promise<OpenFace> {
	const pool = await createPool(url, { maxPoolSize: max });
	const insert = (id: number) => sql.unsafe`insert into bench_log (bench_id, amount) values (${id}, ${1})`;
	return {
		ask: {
			"select 1": () => pool.query(sql.unsafe`select 1 as one`),
			"select by primary key": (id) => pool.query(sql.unsafe`select id, name, balance from bench where id = ${id}`),
			insert: (id) => pool.query(insert(id)),
			"transaction of three statements": (id) =>
				pool.transaction(async (trx) => {
					await trx.query(sql.unsafe`select balance from bench where id = ${id} for update`);
					await trx.query(sql.unsafe`update bench set balance = balance + 1 where id = ${id}`);
					await trx.query(insert(id));
				}),
		},
		end: () => pool.end(),
	};
}
