/** Prisma's client over its adapter for pg, which takes for a pool what is an instance of pg's. */
import { PrismaPg } from "@prisma/adapter-pg";
import type { Work } from "../../../support/consumer.ts";
import { runConsumer } from "../../../support/consumer-program.ts";
import { type Prisma, PrismaClient } from "../prisma/generated/client.ts";

await runConsumer({
	open({ openPool }) {
		const pool = openPool();
		const db = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: true }) });
		return {
			...workOn(db),
			pool,
			async backend() {
				const [row] = await db.$queryRaw<{ pid: number }[]>`select pg_backend_pid() as pid`;
				return row?.pid ?? 0;
			},
			sleep: async (millis) => void (await db.$queryRaw`select pg_sleep(${millis / 1000}::float8)::text`),
			transaction: (body) => db.$transaction((own) => body(workOn(own)), { maxWait: 60_000, timeout: 60_000 }),
			values: async () => {
				const rows = await db.$queryRaw<Record<string, unknown>[]>`select '2026-01-02 03:04:05.678+00'::timestamptz as at,
					'2026-01-02'::date as day, '9007199254740993'::int8 as big, 1.50::numeric as dec, '{"a":[1]}'::jsonb as json,
					array[1, 2] as ints`;
				return rows.map((row) => ({ ...row, big: String(row["big"]) }));
			},
			fail: () =>
				db.trace.createMany({
					data: [
						{ id: -1, key: "twice" },
						{ id: -1, key: "twice" },
					],
				}),
			end: () => db.$disconnect(),
		};
	},
});

function workOn(db: Prisma.TransactionClient): Work {
	return {
		async echo(question) {
			const [row] = await db.$queryRaw<{ answer: string }[]>`select ${question}::text as answer`;
			return row?.answer ?? "";
		},
		insert: async (key) => void (await db.trace.create({ data: { key } })),
		has: async (key) => (await db.trace.count({ where: { key } })) === 1,
	};
}
