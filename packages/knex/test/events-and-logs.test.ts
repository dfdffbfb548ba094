/** https://knexjs.org/guide/interfaces.html#events, and the options `debug`, `log` and `asyncStackTraces`. */
import { once } from "node:events";
import { expect } from "chai";
import type { Knex } from "knex";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection } from "../../../test/support/promises.ts";
import { destroyAll, hold } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

interface QueryEvent {
	readonly sql: string;
	readonly bindings: unknown[];
	readonly method?: string;
	readonly queryContext?: unknown;
	readonly __knexUid: string;
	readonly __knexTxId?: string;
	readonly __knexQueryUid: string;
}

for (const subject of subjects) {
	describe(`events, ${subject.name}`, () => {
		let db: Knex;

		beforeEach(async () => {
			({ db } = subject.open({ pool: { min: 0, max: 1 } }));
			// What is asked once for each connection is over.
			await db.raw("select 1");
		});
		afterEach(destroyAll);

		const one = (on: Knex): Knex.QueryBuilder => on.select(on.raw("?::int as n", [5])).queryContext({ tenant: 5 });

		it("tell a Knex of a query and of its answer, with what it was and where it ran", async () => {
			const seen: [string, ...unknown[]][] = [];
			db.on("start", (builder) => seen.push(["start", builder]));
			db.on("query", (query) => seen.push(["query", query]));
			db.on("query-response", (response, query, builder) => seen.push(["query-response", response, query, builder]));
			db.on("query-error", (error) => seen.push(["query-error", error]));
			const builder = one(db);
			expect(await builder).to.deep.equal([{ n: 5 }]);
			expect(seen.map(([name]) => name)).to.deep.equal(["start", "query", "query-response"]);
			const [[, started], [, query], [, response, answered, answerer]] = seen as [
				[string, unknown],
				[string, QueryEvent],
				[string, unknown, QueryEvent, unknown],
			];
			const connection = await hold(db);
			expect(started).to.equal(builder);
			expect(query).to.include({ sql: "select $1::int as n", method: "select" });
			expect(query).to.deep.include({ bindings: [5], queryContext: { tenant: 5 } });
			expect(query.__knexUid).to.equal((connection as unknown as QueryEvent).__knexUid);
			expect(query.__knexQueryUid).to.be.a("string");
			expect(response).to.deep.equal([{ n: 5 }]);
			expect(answered.__knexQueryUid).to.equal(query.__knexQueryUid);
			expect(answerer).to.equal(builder);
			await db.client.releaseConnection(connection);
		});

		it("tell a Knex of a query that fails, with its error", async () => {
			const seen: [string, unknown, unknown?][] = [];
			db.on("query", (query) => seen.push(["query", query.sql]));
			db.on("query-response", () => seen.push(["query-response", undefined]));
			db.on("query-error", (error, query) => seen.push(["query-error", error, query.sql]));
			const error = await rejection(db.raw("select nonsense"));
			expect(seen).to.deep.equal([
				["query", "select nonsense"],
				["query-error", error, "select nonsense"],
			]);
		});

		it("tell a builder of its own query alone", async () => {
			const seen: unknown[] = [];
			const builder = one(db)
				.on("start", () => seen.push("start"))
				.on("query", ({ sql }: QueryEvent) => seen.push(["query", sql]))
				.on("query-response", (rows: unknown) => seen.push(["query-response", rows]))
				.on("end", () => seen.push("end"));
			await one(db);
			expect(seen).to.deep.equal([]);
			await builder;
			expect(seen).to.deep.equal(["start", ["query", "select ?::int as n"], ["query-response", [{ n: 5 }]], "end"]);
		});

		it("tell a builder of its error, by query-error and by error", async () => {
			const seen: unknown[] = [];
			const builder = db
				.select(db.raw("nonsense"))
				.on("query-error", (error: unknown) => seen.push(["query-error", error]))
				.on("error", (error: unknown) => seen.push(["error", error]));
			const error = await rejection(builder);
			expect(error).to.include({ code: "42703" });
			expect(seen).to.deep.equal([
				["query-error", error],
				["error", error],
			]);
		});

		it("tell Knex and transaction of what runs inside it, under its id", async () => {
			const ofKnex: QueryEvent[] = [];
			const ofTransaction: string[] = [];
			db.on("query", (query) => ofKnex.push(query));
			await db.transaction(async (trx) => {
				trx.on("query", ({ sql }) => ofTransaction.push(sql));
				await trx.raw("select 1");
				await trx.transaction((inner) => inner.raw("select 2"));
			});
			const withoutNumber = (sql: string): string => sql.replace(/trx\d+/, "trx");
			const inside = ["select 1", "SAVEPOINT trx;", "select 2", "RELEASE SAVEPOINT trx;", "COMMIT;"];
			expect(ofTransaction.map(withoutNumber)).to.deep.equal(inside);
			expect(ofKnex.map(({ sql }) => withoutNumber(sql))).to.deep.equal(["BEGIN;", ...inside]);
			const ids = new Set(ofKnex.slice(0, 2).map(({ __knexTxId }) => __knexTxId));
			expect(ids).to.have.property("size", 1);
			expect([...ids][0]).to.match(/^trx\d+$/);
		});

		it("go on after a process change, and after destroy() and initialize()", async () => {
			const seen: string[] = [];
			db.on("query", ({ sql }) => seen.push(sql));
			pretendFork();
			await db.raw("select 2");
			expect(seen.at(-1)).to.equal("select 2");
			await db.destroy();
			db.initialize();
			await db.raw("select 3");
			expect(seen.at(-1)).to.equal("select 3");
		});

		it("tell of a stream's query", async () => {
			const told = once(db as never, "query") as Promise<[QueryEvent]>;
			await db.raw("select 1 as n").stream().toArray();
			expect((await told)[0]).to.include({ sql: "select 1 as n" });
		});
	});

	describe(`what is logged, ${subject.name}`, () => {
		afterEach(destroyAll);

		it("is every query with debug, to the log that is given", async () => {
			const lines: unknown[] = [];
			const log = { debug: (message: unknown) => void lines.push(message), warn() {} };
			const { db } = subject.open({ debug: true, log, version: "18" });
			await db.select(db.raw("?::int as n", [5]));
			expect(JSON.stringify(lines)).to.include("select $1::int as n").and.include("[5]");
			lines.length = 0;
			const { db: quiet } = subject.open({ log });
			await quiet.raw("select 1");
			expect(lines).to.deep.equal([]);
			await quiet.raw("select 2").debug(true);
			expect(JSON.stringify(lines)).to.include("select 2");
		});
	});

	describe(`an error, ${subject.name}`, () => {
		afterEach(destroyAll);

		it("names who has made the query with asyncStackTraces, and does not without", async () => {
			for (const asyncStackTraces of [true, false]) {
				const { db } = subject.open({ asyncStackTraces });
				const query = whereItIsMade(db);
				// Not awaited here: whoever awaits is on the stack in any case.
				const error = await rejection(new Promise((_, reject) => void query.then(reject, reject)));
				expect(error.message).to.include("nonsense");
				expect(String(error.stack).includes("whereItIsMade"), String(error.stack)).to.equal(asyncStackTraces);
				if (asyncStackTraces) expect(error.stack).to.include("events-and-logs.test.ts");
			}
		});

		it("has the statement in its message, and no value that was bound", async () => {
			const { db } = subject.open();
			const error = await rejection(db.raw("select ?::int / 0", [5]));
			expect(error).to.include({ code: "22012", message: "select $1::int / 0 - division by zero" });
		});
	});
}

function whereItIsMade(db: Knex): Knex.Raw {
	return db.raw("select nonsense");
}
