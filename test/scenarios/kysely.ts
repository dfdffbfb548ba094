/** What only Kysely has: its two kinds of transactions, its streams, and a dialect that makes the pool itself. */

import { setImmediate as turn } from "node:timers/promises";
import { expect } from "chai";
import { CompiledQuery, Kysely } from "kysely";
import { ask, type KyselyDialect } from "../faces/kysely-dialect.ts";
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

export function kyselyScenarios(isProtected: boolean, dialect: KyselyDialect): readonly Scenario[] {
	const { statements } = dialect;
	const open = (context: Context, max = 3): Kysely<unknown> => {
		const db = new Kysely<unknown>({ dialect: dialect.open(isProtected, { url: context.url, max }).dialect });
		context.ends({ end: () => db.destroy() });
		return db;
	};
	const echo = (db: Kysely<unknown>, text: string): Promise<string> => ask(db, statements.echo, [text]);
	const backendOf = (db: Kysely<unknown>): Promise<string> => ask(db, statements.backend);
	const insert = async (db: Kysely<unknown>, key: string): Promise<void> => void (await ask(db, statements.insert, [key]));

	return [
		{
			name: "with a dialect and its pool: both processes go on, and the child can destroy its own",
			contract: [1, 2, 7, 12],
			async run(context) {
				const db = open(context);
				const backend = await backendOf(db);
				const child = await context.fork("child", async () => {
					expect(await backendOf(db), "the child's connection").to.not.equal(backend);
					for (let i = 0; i < 20; i++) expect(await echo(db, `the child's ${i}`)).to.equal(`the child's ${i}`);
					await soon(db.destroy(), "the end of the pool");
				});
				for (let i = 0; i < 50; i++) expect(await echo(db, `the parent's ${i}`)).to.equal(`the parent's ${i}`);
				await child.result;
				expect(await backendOf(db), "the parent's connection").to.equal(backend);
			},
		},
		{
			name: "with a transaction of Kysely in flight: its promise rejects in the child, its work is done once, in the parent",
			contract: [3, 5, 12],
			async run(context) {
				const db = open(context);
				const key = unique("in-transaction");
				const begun = Promise.withResolvers<void>();
				const transaction = outcome(
					db.transaction().execute(async (trx) => {
						begun.resolve();
						await ask(trx, statements.sleep, [150]);
						await insert(trx, key);
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
				const db = open(context);
				const keys = { child: unique("child"), parent: unique("parent") };
				const trx = await db.startTransaction().execute();
				await insert(trx, keys.parent);
				const savepoint = await trx.savepoint("before").execute();
				const child = await context.fork("child", async () => {
					await expectRefused(insert(savepoint, keys.child), INHERITED);
					await soon(outcome(trx.rollback().execute()), "the end of the inherited transaction");
					await db.transaction().execute(async (own) => insert(own, keys.child));
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
				const db = open(context, 1);
				const key = unique("waiting-transaction");
				const busy = outcome(ask(db, statements.sleep, [150]));
				const transaction = outcome(db.transaction().execute(async (trx) => insert(trx, key)));
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
				const db = open(context);
				const numbers = db.getExecutor().stream<{ n: number }>(CompiledQuery.raw(statements.numbers), 10);
				const read: number[] = [];
				const readOn = async (least = Number.POSITIVE_INFINITY): Promise<void> => {
					while (read.length < least) {
						const { done, value } = await numbers.next();
						if (done) return;
						read.push(...value.rows.map(({ n }) => Number(n)));
					}
				};
				await readOn(10);
				const child = await context.fork("child", async () => {
					const own = echo(db, "mine");
					await expectRefused(readOn(), INHERITED);
					expect(await own).to.equal("mine");
				});
				await child.result;
				await readOn();
				expect(read).to.deep.equal(Array.from({ length: dialect.numbers }, (_, index) => index + 1));
			},
		},
	];
}
