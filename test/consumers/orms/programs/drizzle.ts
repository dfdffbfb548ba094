/** Drizzle over a Pool of pg's interface. */
import { eq, sql } from "drizzle-orm";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { date, integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import type { Work } from "../../../support/consumer.ts";
import { runConsumer } from "../../../support/consumer-program.ts";

const traces = pgTable("consumer_traces", {
	id: integer().primaryKey().generatedByDefaultAsIdentity(),
	key: text().notNull(),
});

const times = pgTable("times", { at: timestamp({ withTimezone: true }), day: date() });

await runConsumer({
	open({ openPool }) {
		const db = drizzle({ client: openPool() });
		return {
			...workOn(db),
			pool: db.$client,
			async backend() {
				const { rows } = await db.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`);
				return rows[0]?.pid ?? 0;
			},
			sleep: async (millis) => void (await db.execute(sql`select pg_sleep(${millis / 1000}::float8)`)),
			transaction: (body) => db.transaction((own) => body(workOn(own))),
			values: () =>
				db
					.select({
						at: sql`'2026-01-02 03:04:05.678+00'::timestamptz`.mapWith(times.at),
						day: sql`'2026-01-02'::date`.mapWith(times.day),
						span: sql`'1 day'::interval`,
						big: sql`'9007199254740993'::int8`,
						json: sql`'{"a":[1]}'::jsonb`,
					})
					.from(sql`(values (1)) as one`),
			fail: () =>
				db.insert(traces).values([
					{ id: -1, key: "twice" },
					{ id: -1, key: "twice" },
				]),
			end: () => db.$client.end(),
		};
	},
});

function workOn(db: Pick<NodePgDatabase, "execute" | "insert" | "select">): Work {
	return {
		async echo(question) {
			const { rows } = await db.execute<{ answer: string }>(sql`select ${question}::text as answer`);
			return rows[0]?.answer ?? "";
		},
		insert: async (key) => void (await db.insert(traces).values({ key })),
		has: async (key) => (await db.select().from(traces).where(eq(traces.key, key))).length === 1,
	};
}
