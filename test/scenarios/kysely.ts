/** What only Kysely has: its two kinds of transactions, its streams, and a dialect that makes the pool itself. */

import { setImmediate as turn } from "node:timers/promises";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { expect } from "chai";
import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import Cursor from "pg-cursor";
import { BACKEND, ECHO, INSERT, SLEEP } from "../faces/statements.ts";
import {
	type Context,
	expectRefused,
	expectTraces,
	INHERITED,
	outcome,
	PROCESS_CHANGED,
	rethrow,
	type Scenario,
	soon,
	unique,
} from "./scenario.ts";

export function kyselyScenarios(isProtected: boolean): readonly Scenario[] {
	return [
		{
			name: "with a dialect that was given options of a pool: both processes go on, and the child can destroy its own",
			contract: [1, 2, 7, 12],
			async run(context) {
				const db = open(context, isProtected);
				const backend = await ask(db, BACKEND, []);
				const child = await context.fork("child", async () => {
					expect(await ask(db, BACKEND, []), "the child's connection").to.not.equal(backend);
					for (let i = 0; i < 20; i++) expect(await echo(db, `the child's ${i}`)).to.equal(`the child's ${i}`);
					await soon(db.destroy(), "the end of the pool");
				});
				for (let i = 0; i < 50; i++) expect(await echo(db, `the parent's ${i}`)).to.equal(`the parent's ${i}`);
				await child.result;
				expect(await ask(db, BACKEND, []), "the parent's connection").to.equal(backend);
			},
		},
		{
			name: "with a transaction of Kysely in flight: its promise rejects in the child, its work is done once, in the parent",
			contract: [3, 5, 12],
			async run(context) {
				const db = open(context, isProtected);
				const key = unique("in-transaction");
				const begun = Promise.withResolvers<void>();
				const transaction = outcome(
					db.transaction().execute(async (trx) => {
						begun.resolve();
						await ask(trx, SLEEP, [150]);
						await ask(trx, INSERT, [key]);
					}),
				);
				await begun.promise;
				await turn();
				const child = await context.fork("child", async () => {
					const own = echo(db, "mine");
					await expectRefused(rethrow(transaction), INHERITED);
					expect(await own).to.equal("mine");
				});
				expect(await soon(transaction, "the transaction")).to.have.property("value");
				await child.result;
				await expectTraces(context, { [key]: 1 });
			},
		},
		{
			name: "with a controlled transaction of Kysely open: the child's statements are refused, the parent commits",
			contract: [5, 12],
			async run(context) {
				const db = open(context, isProtected);
				const keys = { child: unique("child"), parent: unique("parent") };
				const trx = await db.startTransaction().execute();
				await ask(trx, INSERT, [keys.parent]);
				const savepoint = await trx.savepoint("before").execute();
				const child = await context.fork("child", async () => {
					await expectRefused(ask(savepoint, INSERT, [keys.child]), INHERITED);
					await soon(outcome(trx.rollback().execute()), "the end of the inherited transaction");
					await db.transaction().execute(async (own) => ask(own, INSERT, [keys.child]));
				});
				await child.result;
				await savepoint.rollbackToSavepoint("before").execute();
				await trx.commit().execute();
				await expectTraces(context, { [keys.parent]: 1, [keys.child]: 1 });
			},
		},
		{
			name: "with a transaction of Kysely waiting for a connection: it is never begun in the child",
			contract: [4, 12],
			async run(context) {
				const db = open(context, isProtected, 1);
				const key = unique("waiting-transaction");
				const busy = outcome(ask(db, SLEEP, [150]));
				const transaction = outcome(db.transaction().execute(async (trx) => ask(trx, INSERT, [key])));
				await turn();
				const child = await context.fork("child", async () => {
					const own = echo(db, "mine");
					await expectRefused(rethrow(transaction), PROCESS_CHANGED);
					expect(await own).to.equal("mine");
				});
				expect(await soon(busy, "the running query")).to.have.property("value");
				expect(await soon(transaction, "the transaction")).to.have.property("value");
				await child.result;
				await expectTraces(context, { [key]: 1 });
			},
		},
		{
			name: "with a stream of Kysely half read: the parent reads on, the child's copy ends with an error",
			contract: [3, 5, 12],
			async run(context) {
				const db = open(context, isProtected);
				const numbers = db.getExecutor().stream<{ n: number }>(CompiledQuery.raw("select generate_series(1, 500) as n"), 10);
				const read: number[] = [];
				const readOn = async (): Promise<void> => {
					for (;;) {
						const { done, value } = await numbers.next();
						if (done) return;
						read.push(...value.rows.map(({ n }) => n));
						if (read.length === 10) return;
					}
				};
				await readOn();
				const child = await context.fork("child", async () => {
					const own = echo(db, "mine");
					await expectRefused(numbers.next(), INHERITED);
					expect(await own).to.equal("mine");
				});
				await child.result;
				await readOn();
				expect(read).to.deep.equal(Array.from({ length: 500 }, (_, index) => index + 1));
			},
		},
	];
}

function open(context: Context, isProtected: boolean, max = 3): Kysely<unknown> {
	const options = { connectionString: context.url, max };
	const dialect = isProtected
		? new ForkSafePostgresDialect({ pool: options, cursor: Cursor })
		: new PostgresDialect({ pool: new pg.Pool(options).on("error", () => {}), cursor: Cursor });
	const db = new Kysely<unknown>({ dialect });
	context.ends({ end: () => db.destroy() });
	return db;
}

async function ask(db: Kysely<unknown>, statement: string, values: unknown[]): Promise<string> {
	const { rows } = await db.executeQuery<{ answer: string }>(CompiledQuery.raw(statement, values));
	return rows[0]?.answer ?? "";
}

function echo(db: Kysely<unknown>, text: string): Promise<string> {
	return ask(db, ECHO, [text]);
}
