/** TypeORM with a driver whose Pool is the one given. */
import pg from "pg";
import { DataSource, type EntityManager, EntitySchema } from "typeorm";
import { PostgresDriver } from "typeorm/driver/postgres/PostgresDriver.js";
import type { Work } from "../../../support/consumer.ts";
import { runConsumer } from "../../../support/consumer-program.ts";

const Trace = new EntitySchema<{ id: number; key: string }>({
	name: "Trace",
	tableName: "consumer_traces",
	columns: {
		id: { type: "int", primary: true, generated: "identity" },
		key: { type: "text" },
	},
});

await runConsumer({
	async open({ Pool, options: { connectionString, application_name, max, ...extra } }) {
		const db = new DataSource({
			type: "postgres",
			driver: { ...pg, Pool },
			url: connectionString,
			applicationName: application_name,
			poolSize: max,
			extra,
			entities: [Trace],
		});
		await db.initialize();
		if (!(db.driver instanceof PostgresDriver)) throw new Error("TypeORM has another driver");
		return {
			...workOn(db.manager),
			pool: db.driver.master,
			async backend() {
				const [row] = await db.query<{ pid: number }[]>("select pg_backend_pid() as pid");
				return row?.pid ?? 0;
			},
			sleep: async (millis) => void (await db.query("select pg_sleep($1)", [millis / 1000])),
			transaction: (body) => db.transaction((manager) => body(workOn(manager))),
			values: () =>
				db.query(`select '2026-01-02 03:04:05.678+00'::timestamptz as at, '2026-01-02'::date as day, '1 day'::interval as span,
					'9007199254740993'::int8 as big, 1.50::numeric as dec, '{"a":[1]}'::jsonb as json, array[1, 2] as ints`),
			fail: () =>
				db.manager.insert(Trace, [
					{ id: -1, key: "twice" },
					{ id: -1, key: "twice" },
				]),
			end: () => db.destroy(),
		};
	},
});

function workOn(manager: EntityManager): Work {
	return {
		async echo(question) {
			const [row] = await manager.query<{ answer: string }[]>("select $1::text as answer", [question]);
			return row?.answer ?? "";
		},
		insert: async (key) => void (await manager.insert(Trace, { key })),
		has: (key) => manager.existsBy(Trace, { key }),
	};
}
