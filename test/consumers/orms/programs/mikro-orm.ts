/** MikroORM 7, which takes a dialect of Kysely's. */
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import { defineEntity, type EntityManager, MikroORM, p } from "@mikro-orm/postgresql";
import { PostgresDialect } from "kysely";
import type { Work } from "../../../support/consumer.ts";
import { runConsumer } from "../../../support/consumer-program.ts";

const Trace = defineEntity({
	name: "Trace",
	tableName: "consumer_traces",
	properties: { id: p.integer().primary(), key: p.text() },
});

await runConsumer({
	async open({ openPool }) {
		const pool = openPool();
		const orm = await MikroORM.init({
			dbName: "postgres",
			driverOptions: pool instanceof Pool ? new ForkSafePostgresDialect({ pool }) : new PostgresDialect({ pool }),
			entities: [Trace],
		});
		const asked = () => orm.em.fork();
		return {
			echo: (question) => workOn(asked()).echo(question),
			insert: (key) => workOn(asked()).insert(key),
			has: (key) => workOn(asked()).has(key),
			async backend() {
				const [row] = await asked().execute<{ pid: number }[]>("select pg_backend_pid() as pid");
				return row?.pid ?? 0;
			},
			sleep: async (millis) => void (await asked().execute("select pg_sleep(?)", [millis / 1000])),
			transaction: (body) => asked().transactional((em) => body(workOn(em))),
			end: () => orm.close(),
		};
	},
});

function workOn(em: EntityManager): Work {
	return {
		async echo(question) {
			const [row] = await em.execute<{ answer: string }[]>("select ?::text as answer", [question]);
			return row?.answer ?? "";
		},
		insert: (key) => em.persist(em.create(Trace, { key })).flush(),
		has: async (key) => (await em.count(Trace, { key })) === 1,
	};
}
