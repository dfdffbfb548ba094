/** MikroORM 7, which takes a dialect of Kysely's. */
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import { createPostgreSqlTypeParsers, defineEntity, type EntityManager, MikroORM, p } from "@mikro-orm/postgresql";
import { expect } from "chai";
import { PostgresDialect } from "kysely";
import pg from "pg";
import type { Work } from "../../../support/consumer.ts";
import { runConsumer } from "../../../support/consumer-program.ts";

const Trace = defineEntity({
	name: "Trace",
	tableName: "consumer_traces",
	properties: { id: p.integer().primary(), key: p.text() },
});
const Times = defineEntity({
	name: "Times",
	expression: "select '2026-01-02'::date as day, '1 day'::interval as span",
	properties: { day: p.date(), span: p.type("interval") },
});

/** The pools that MikroORM opens itself have these. Over a dialect, they are for whoever opens the pool. */
const types = new pg.TypeOverrides();
const parsers = createPostgreSqlTypeParsers(pg.types.getTypeParser(pg.types.builtins.TEXT));
for (const [oid, parse] of Object.entries(parsers)) types.setTypeParser(Number(oid), parse);

await runConsumer({
	async open({ openPool, options }) {
		const open = (driverOptions: object): Promise<MikroORM> =>
			MikroORM.init({ clientUrl: options.connectionString, driverOptions, entities: [Trace, Times] });
		const over = (pool: pg.Pool): Promise<MikroORM> =>
			open(pool instanceof Pool ? new ForkSafePostgresDialect({ pool }) : new PostgresDialect({ pool }));

		const pool = openPool({ types });
		const orm = await over(pool);
		const work = (): Work => workOn(orm.em.fork());
		return {
			pool,
			echo: (question) => work().echo(question),
			insert: (key) => work().insert(key),
			has: (key) => work().has(key),
			async backend() {
				const [row] = await orm.em.fork().execute<{ pid: number }[]>("select pg_backend_pid() as pid");
				return row?.pid ?? 0;
			},
			sleep: async (millis) => void (await orm.em.fork().execute("select pg_sleep(?)", [millis / 1000])),
			transaction: (body) => orm.em.fork().transactional((em) => body(workOn(em))),
			async values() {
				const given = await timesOf(orm);
				const own = await open({});
				expect(given).to.deep.equal(await timesOf(own));
				await own.close();
				const without = await over(openPool({ application_name: "without types" }));
				expect(given).not.to.deep.equal(await timesOf(without));
				await without.close();
				return given;
			},
			async fail() {
				const em = orm.em.fork();
				await em.insertMany(Trace, [
					{ id: -1, key: "twice" },
					{ id: -1, key: "twice" },
				]);
			},
			end: () => orm.close(),
		};
	},
});

async function timesOf(orm: MikroORM): Promise<object> {
	const [times] = await orm.em.fork().findAll(Times);
	return { day: times?.day, span: { ...times?.span } };
}

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
