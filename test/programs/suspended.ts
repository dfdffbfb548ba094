/**
 * A pool of each kind is suspended amid a transaction, and asked for more. Reports "suspended" when the last connection has
 * gone, and after SIGUSR2 what has become of each.
 */
import { once } from "node:events";
import { resumeAll, suspendAll } from "@forksafe/core";
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import knex from "knex";
import { Kysely, sql } from "kysely";
import { report } from "../support/report.ts";

/** The suspension takes longer. */
const acquireTimeoutMillis = 2_000;
const { DATABASE_URL: connectionString = "" } = process.env;
const options = { connectionString, max: 2, connectionTimeoutMillis: acquireTimeoutMillis };

const overPg = new Pool(options);
const overKnex = knex({
	client: ForkSafePostgres,
	connection: connectionString,
	pool: { min: 0, max: 2 },
	acquireConnectionTimeout: acquireTimeoutMillis,
});
const overKysely = new Kysely<unknown>({ dialect: new ForkSafePostgresDialect({ pool: options }) });

interface Subject {
	readonly name: string;
	echo(text: string): Promise<unknown>;
	/** Takes 300 ms. */
	transact(): Promise<unknown>;
}

const subjects: readonly Subject[] = [
	{
		name: "pg",
		echo: async (text) => (await overPg.query<{ echo: string }>("select $1 as echo", [text])).rows[0]?.echo,
		async transact() {
			const client = await overPg.connect();
			await client.query("begin");
			await client.query("select pg_sleep(0.3)");
			const { command } = await client.query("commit");
			client.release();
			return command;
		},
	},
	{
		name: "Knex",
		echo: async (text) => (await overKnex.raw<{ rows: { echo: string }[] }>("select ? as echo", [text])).rows[0]?.echo,
		transact: () =>
			overKnex.transaction(async (trx) => {
				await trx.raw("select pg_sleep(0.3)");
				return "COMMIT";
			}),
	},
	{
		name: "Kysely",
		echo: async (text) => (await sql<{ echo: string }>`select ${text}::text as echo`.execute(overKysely)).rows[0]?.echo,
		transact: () =>
			overKysely.transaction().execute(async (trx) => {
				await sql`select pg_sleep(0.3)`.execute(trx);
				return "COMMIT";
			}),
	},
];

function whatBecameOf(promise: Promise<unknown>): Promise<unknown> {
	return promise.catch((error: Error) => error.message);
}

await Promise.all(subjects.map(({ echo }) => Promise.all([echo("warm"), echo("warm")])));
const underWay = subjects.map(({ transact }) => whatBecameOf(transact()));
await Promise.all(subjects.map(({ echo }) => echo("beside it"))); // by now each transaction has its connection
const suspended = suspendAll({ deadlineMillis: 10_000 });
const meanwhile = subjects.map(({ echo }) => whatBecameOf(echo("meanwhile")));
await suspended;
const keepsProcess = setInterval(() => {}, 1_000);
const resumed = once(process, "SIGUSR2");
report("suspended");
await resumed;
clearInterval(keepsProcess);
resumeAll();
for (const [index, { name, echo }] of subjects.entries()) {
	report({ name, underWay: await underWay[index], meanwhile: await meanwhile[index], after: await whatBecameOf(echo("after")) });
}
await Promise.all([overPg.end(), overKnex.destroy(), overKysely.destroy()]);
