/**
 * `prepared.ts pg|Knex|Kysely hook|no-hook`: a pool with prepared statements is forked twice, while its only connection is at one of
 * them, and all three processes go on asking. Reports what each has got, and under which names its session has them.
 */
import process from "node:process";
import { afterFork } from "@forksafe/core";
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import knex from "knex";
import { CompiledQuery, Kysely } from "kysely";
import { ask } from "../faces/postgres-view.ts";
import { outcome, soon } from "../scenarios/scenario.ts";
import { forkChild } from "../support/fork.ts";
import { report } from "../support/report.ts";
import { untilTrue } from "../support/until-true.ts";

const [face = "", hook] = process.argv.slice(2);
const { DATABASE_URL: connectionString = "" } = process.env;
const prepare = { minUses: 2 };

interface Row {
	readonly answer: string;
}

/** Texts have pg's parameters. */
interface Subject {
	ask(text: string, values: unknown[]): Promise<Row[]>;
	end(): Promise<void>;
}

const subjects: Record<string, () => Subject> = {
	pg() {
		const pool = new Pool({ connectionString, max: 1, prepare });
		return { ask: async (text, values) => (await pool.query<Row>(text, values)).rows, end: () => pool.end() };
	},
	Knex() {
		const db = knex({ client: ForkSafePostgres, connection: connectionString, pool: { min: 0, max: 1, prepare } });
		return {
			ask: async (text, values) => (await db.raw<{ rows: Row[] }>(text.replaceAll(/\$\d/g, "?"), values as string[])).rows,
			end: () => db.destroy(),
		};
	},
	Kysely() {
		const db = new Kysely<unknown>({ dialect: new ForkSafePostgresDialect({ pool: { connectionString, max: 1, prepare } }) });
		return {
			ask: async (text, values) => (await db.executeQuery(CompiledQuery.raw(text, values) as CompiledQuery<Row>)).rows,
			end: () => db.destroy(),
		};
	},
};

const subject = (subjects[face] as () => Subject)();

/** How many answers were not those to the question. */
async function countWrong(who: string): Promise<number> {
	let wrong = 0;
	for (let n = 0; n < 20; n++) {
		for (const text of ["select $1 || ' of this' as answer", "select $1 || ' of that' as answer"]) {
			const [row] = await soon(subject.ask(text, [`${who} ${n}`]), "an answer");
			if (row?.answer !== `${who} ${n}${text.includes("that") ? " of that" : " of this"}`) wrong++;
		}
	}
	return wrong;
}

/** And how often each of them was used. */
async function names(): Promise<string[]> {
	const text = `
		select name || ': ' || generic_plans + custom_plans as answer from pg_prepared_statements
		where statement like '%of th%' and statement not like '%pg_prepared%' order by prepare_time, name; `;
	return (await subject.ask(text, [])).map(({ answer }) => answer);
}

const slow = (): Promise<Row[]> => subject.ask("select pg_sleep(0.5)::text || $1 as answer", ["slow"]);
const wrongBefore = await countWrong("before");
const before = await names();
for (let n = 0; n < 2; n++) await slow();
const underWay = outcome(slow());
const active = "select 1 from pg_stat_activity where state = 'active' and query like 'select pg_sleep(0.5)::text%'";
await untilTrue(async () => (await ask(connectionString, active)).length === 1, { what: "the server is at it" });
const children = [];
for (const name of ["first", "second"]) {
	const child = await forkChild(name, async () => {
		if (hook === "hook") afterFork();
		return { wrong: await countWrong(name), names: await names(), underWay: await underWay };
	});
	children.push(child);
}
const wrongAfter = await countWrong("after");
report({
	before: { wrong: wrongBefore, names: before },
	after: { wrong: wrongAfter, names: await names(), underWay: await underWay },
	children: await Promise.all(children.map(async ({ result }) => result)),
});
await subject.end();
