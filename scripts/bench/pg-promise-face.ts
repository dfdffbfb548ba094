import pgPromise from "pg-promise";
import type { FaceOptions, OpenFace } from "./faces.ts";
import { SQL } from "./query-tables.ts";

/** It puts the values into the text itself: the server is asked simple queries. */
export function openPgPromise({ url: connectionString, max }: FaceOptions): OpenFace {
	// Several pools for one database are no mistake here.
	const db = pgPromise({ noWarnings: true })({ connectionString, max });
	return {
		ask: {
			"select 1": () => db.any(SQL.one),
			"select by primary key": (id) => db.any(SQL.byKey, [id]),
			insert: (id) => db.none(SQL.insert, [id, 1]),
			"transaction of three statements": (id) =>
				db.tx(async (tx) => {
					await tx.any(SQL.lock, [id]);
					await tx.none(SQL.update, [id]);
					await tx.none(SQL.insert, [id, 1]);
				}),
		},
		end: () => db.$pool.end(),
	};
}
