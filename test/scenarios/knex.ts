/** What only Knex has: its transactions, its clones, and a pool that can be ended and begun again. */

import { setImmediate as turn } from "node:timers/promises";
import { expect } from "chai";
import type { Knex } from "knex";
import { type KnexDialect, openKnex } from "../faces/knex-dialect.ts";
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

export function knexScenarios(isProtected: boolean, dialect: KnexDialect): readonly Scenario[] {
	const { statements, answer } = dialect;
	const open = (context: Context, max = 3): Knex => {
		const db = openKnex(isProtected, { url: context.url, max }, dialect);
		context.ends({ end: () => db.destroy() });
		return db;
	};
	const echo = async (db: Knex, text: string): Promise<string> => answer(await db.raw(statements.echo, [text]));
	const backendOf = async (db: Knex): Promise<string> => answer(await db.raw(statements.backend));
	const insert = async (db: Knex, key: string): Promise<void> => void (await db.raw(statements.insert, [key]));

	return [
		{
			name: "with a transaction of Knex open: `trx` is refused in the child, and commits in the parent",
			contract: [3, 5, 12],
			async run(context) {
				const db = open(context);
				const keys = { child: unique("child"), parent: unique("parent") };
				const trx = await db.transaction();
				await insert(trx, keys.parent);
				const nested = await trx.transaction();
				const child = await context.fork("child", async () => {
					await expectRefused(insert(trx, keys.child), INHERITED);
					await expectRefused(insert(nested, keys.child), INHERITED);
					await soon(outcome(nested.rollback()), "the end of the inherited nested transaction");
					await soon(outcome(trx.rollback()), "the end of the inherited transaction");
					await db.transaction(async (own) => insert(own, keys.child));
				});
				await child.result;
				await nested.commit();
				await trx.commit();
				await expectTraces(context, { [keys.parent]: 1, [keys.child]: 1 });
				expect(await echo(db, "mine")).to.equal("mine");
			},
		},
		{
			name: "with a transaction of Knex in flight: its promise rejects in the child, its work is done once, in the parent",
			contract: [3, 5, 12],
			async run(context) {
				const db = open(context);
				const key = unique("in-transaction");
				const transaction = outcome(
					db.transaction(async (trx) => {
						await trx.raw(statements.sleep, [150]);
						await insert(trx, key);
					}),
				);
				await turn();
				await echo(db, "connected");
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
			name: "with a transaction of Knex waiting for a connection: it is never begun in the child",
			contract: [4, 12],
			async run(context) {
				const db = open(context, 1);
				const key = unique("waiting-transaction");
				const busy = outcome(db.raw(statements.sleep, [150]));
				const transaction = outcome(db.transaction(async (trx) => insert(trx, key)));
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
			name: "with a clone made by withUserParams: it shares the pool in the parent and in the child",
			contract: [1, 2, 12],
			async run(context) {
				const db = open(context);
				const clone = db.withUserParams({ tenant: 7 });
				const backend = await backendOf(db);
				const child = await context.fork("child", async () => {
					const own = await backendOf(clone);
					expect(own, "the child's connection").to.not.equal(backend);
					for (let i = 0; i < 20; i++) expect(await echo(clone, `the child's ${i}`)).to.equal(`the child's ${i}`);
					expect(await echo(db, "also mine")).to.equal("also mine");
					expect(clone.client.pool).to.equal(db.client.pool);
					expect(db.client.pool.numUsed() + db.client.pool.numFree(), "connections of the child").to.equal(1);
					expect(await backendOf(db), "the child's connection").to.equal(own);
				});
				for (let i = 0; i < 50; i++) expect(await echo(clone, `the parent's ${i}`)).to.equal(`the parent's ${i}`);
				await child.result;
				expect(await backendOf(clone), "the parent's connection").to.equal(backend);
			},
		},
		{
			name: "after which the child destroys its Knex and initializes it again: both go on",
			contract: [1, 2, 7, 12],
			async run(context) {
				const db = open(context);
				const key = unique("parent");
				const trx = await db.transaction();
				const child = await context.fork("child", async () => {
					await soon(db.destroy(), "the end of the pool");
					db.initialize();
					for (let i = 0; i < 20; i++) expect(await echo(db, `the child's ${i}`)).to.equal(`the child's ${i}`);
					await soon(db.destroy(), "the end of the second pool");
				});
				for (let i = 0; i < 50; i++) expect(await echo(db, `the parent's ${i}`)).to.equal(`the parent's ${i}`);
				await child.result;
				await insert(trx, key);
				await trx.commit();
				await expectTraces(context, { [key]: 1 });
			},
		},
	];
}
