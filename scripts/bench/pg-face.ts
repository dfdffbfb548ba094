import type pg from "pg";
import { needBuilt } from "./built-packages.ts";
import type { FaceOptions, OpenFace, PoolKind } from "./faces.ts";
import { SQL } from "./query-tables.ts";

/** pg's Pool, or ours; transactions as pg's manual has them. */
export async function openPg({ url, max, pool: kind }: FaceOptions): Promise<OpenFace> {
	const pool = await openPool(url, max, kind);
	return {
		ask: {
			"select 1": () => pool.query(SQL.one),
			"select by primary key": (id) => pool.query(SQL.byKey, [id]),
			insert: (id) => pool.query(SQL.insert, [id, 1]),
			"transaction of three statements": async (id) => {
				const client = await pool.connect();
				try {
					await client.query("begin");
					await client.query(SQL.lock, [id]);
					await client.query(SQL.update, [id]);
					await client.query(SQL.insert, [id, 1]);
					await client.query("commit");
				} catch (error) {
					await client.query("rollback");
					throw error;
				} finally {
					client.release();
				}
			},
		},
		end: () => pool.end(),
	};
}

/** What forksafe's pools are given with named statements, and without. */
export function prepareOption(kind: PoolKind): object {
	return kind === "prepare" ? { prepare: true } : {};
}

async function openPool(connectionString: string, max: number, kind: PoolKind): Promise<pg.Pool> {
	if (kind === "own") {
		const { default: plain } = await import("pg");
		return new plain.Pool({ connectionString, max });
	}
	needBuilt("@forksafe/pg");
	const { Pool } = await import("@forksafe/pg");
	return new Pool({ connectionString, max, ...prepareOption(kind) });
}
