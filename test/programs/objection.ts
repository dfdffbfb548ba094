/**
 * `objection.ts SCHEMA 3.3|3.1 [HOOK]`: models of Objection.js over a Knex of ours, used at the same time by a process and by a child
 * that is forked from it while a transaction is open and another one waits for its lock. With HOOK, the child calls
 * `afterFork()`. Reports what both have seen, and what is in the tables in the end.
 */
import { createRequire } from "node:module";
import { afterFork } from "@forksafe/core";
import { ForkSafePostgres, forkSafe } from "@forksafe/knex";
import knex from "knex";
import knex31 from "knex-3.1";
import { knexSnakeCaseMappers, transaction } from "objection";
import { forkChild } from "../support/fork.ts";
import { Author, createTables } from "../support/objection-models.ts";
import { rejection } from "../support/promises.ts";
import { report } from "../support/report.ts";
import { untilTrue } from "../support/until-true.ts";

const ROUNDS = 15;

const [schema = "", version, hook] = process.argv.slice(2);
const is31 = version === "3.1";
const make = is31 ? (knex31 as unknown as typeof knex) : knex;
const db = make({
	client: is31 ? forkSafe(createRequire(import.meta.url)("knex-3.1/lib/dialects/postgres/index.js")) : ForkSafePostgres,
	connection: process.env["DATABASE_URL"] ?? "",
	searchPath: [schema],
	pool: { min: 0, max: 3 },
	...knexSnakeCaseMappers(),
});
const Authors = Author.bindKnex(db);
await db.schema.createSchema(schema);
await createTables(db);

const trx = await transaction.start(Authors);
await Authors.query(trx).insertGraph({ penName: "in the open transaction", books: [{ title: "before the fork" }] });
await trx.raw("select pg_advisory_xact_lock(?)", [process.pid]);
/** Its statement is in flight at the fork, and until `trx` is committed. */
const inFlight = Authors.transaction(async (own) => {
	await own.raw("select pg_advisory_xact_lock(?)", [process.pid]);
	await Authors.query(own).insert({ penName: "in flight" });
}).then(
	() => "committed",
	({ name, code }) => `${name} ${code}`,
);
await untilTrue(isInFlight, { what: "one transaction waits for the other" });
const backend = await backendOf();

const child = await forkChild("child", async () => {
	if (hook !== undefined) afterFork();
	const refused = [
		await rejection(Authors.query(trx).insert({ penName: "refused" }).execute()),
		await rejection(Authors.query(trx).withGraphFetched("books").execute()),
		await rejection(transaction(trx, (nested) => Authors.query(nested).insert({ penName: "refused" }).execute())),
		await rejection(trx.commit()),
	];
	const wrong = await work("child");
	return {
		refused: refused.map(({ name, code }) => `${name} ${code}`),
		inFlight: await inFlight,
		wrong,
		isOwn: (await backendOf()) !== backend,
	};
});
const wrong = await work("parent");
const isSame = (await backendOf()) === backend;
const inChild = await child.result;
await trx.commit();
await inFlight;

const authors = await Authors.query().withGraphFetched("books");
const written = authors.map(({ penName, books = [] }) => [penName, ...books.map(({ title }) => title).sort()].join(": ")).sort();
report({ child: inChild, parent: { inFlight: await inFlight, wrong, isSame }, written });
await db.schema.dropSchema(schema, true);
await db.destroy();

async function backendOf(): Promise<number> {
	const { rows } = await db.raw("select pg_backend_pid() as pid");
	return rows[0].pid;
}

async function isInFlight(): Promise<boolean> {
	const { rows } = await db.raw("select 1 from pg_locks where locktype = 'advisory' and objid = ? and not granted", [
		process.pid,
	]);
	return rows.length === 1;
}

/** Inserts, reads and transacts. Returns what went otherwise than it should. */
async function work(who: string): Promise<string[]> {
	const wrong: string[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const penName = `${who} ${round}`;
		const { id } = await Authors.query().insertGraph({ penName, books: [{ title: "inserted" }] });
		const author = await Authors.query().findById(id).withGraphFetched("books");
		if (author?.penName !== penName || author.books?.[0]?.title !== "inserted")
			wrong.push(`${penName} read ${JSON.stringify(author)}`);

		await Authors.transaction(async (own) => {
			await author?.$relatedQuery("books", own).insert({ title: "committed" });
		});
		const undone = Authors.transaction(async (own) => {
			await author?.$relatedQuery("books", own).insert({ title: "undone" });
			throw new Error(penName);
		});
		const { message } = await rejection(undone);
		if (message !== penName) wrong.push(`${penName} failed with ${message}`);
	}
	return wrong;
}
