/** https://knexjs.org/guide/interfaces.html#streams. What becomes of the connection is in stream-lease.test.ts. */
import { once } from "node:events";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect } from "chai";
import type { Knex } from "knex";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ask, backendOf, destroyAll, newName, poolOf } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

const ROWS = "select n from generate_series(1, ?::int) as n";

/** Keeps the rows that flow into it. */
class Sink extends Writable {
	readonly rows: unknown[] = [];

	constructor() {
		super({ objectMode: true });
	}

	override _write(row: unknown, _encoding: string, done: () => void): void {
		this.rows.push(row);
		done();
	}
}

for (const subject of subjects) {
	describe(`rows that are streamed, ${subject.name}`, () => {
		let db: Knex;

		beforeEach(() => {
			({ db } = subject.open({ pool: { min: 0, max: 1 } }));
		});
		afterEach(destroyAll);

		const isGivenBack = (): Promise<void> =>
			untilTrue(() => poolOf(db).numUsed() === 0 && poolOf(db).numFree() === 1, { what: "the connection is given back" });

		it("can be iterated", async () => {
			const rows: { n: number }[] = [];
			for await (const row of db.raw(ROWS, [1000]).stream()) rows.push(row);
			expect(rows).to.deep.equal(Array.from({ length: 1000 }, (_, index) => ({ n: index + 1 })));
			await isGivenBack();
		});

		it("come from a query that is built, too", async () => {
			const rows: unknown[] = [];
			const query = db.select("n").from(db.raw("generate_series(1, 3) as n")).where("n", ">", 1).orderBy("n", "desc");
			for await (const row of query.stream()) rows.push(row);
			expect(rows).to.deep.equal([{ n: 3 }, { n: 2 }]);
		});

		it("flow into what they are piped to", async () => {
			const piped = new Sink();
			db.raw(ROWS, [3]).pipe(piped);
			await once(piped, "finish");
			const streamed = new Sink();
			await pipeline(db.raw(ROWS, [3]).stream(), streamed);
			for (const { rows } of [piped, streamed]) expect(rows).to.deep.equal([{ n: 1 }, { n: 2 }, { n: 3 }]);
			await isGivenBack();
		});

		it("are given to a handler, whose call resolves when they have ended", async () => {
			const sink = new Sink();
			await db.raw(ROWS, [3]).stream((stream) => void stream.pipe(sink));
			await untilTrue(() => sink.writableFinished, { what: "the last row is written" });
			expect(sink.rows).to.have.lengthOf(3);
		});

		it("are fetched in portions, as they are read", async () => {
			const sequence = newName();
			await ask(`create sequence "${sequence}"`);
			const stream = db
				.raw("select nextval(?) as n from generate_series(1, 100000)", [`"${sequence}"`])
				.stream({ highWaterMark: 10, batchSize: 10 } as object);
			await once(stream, "readable");
			const [row] = await ask(`select last_value::int as n from "${sequence}"`);
			expect(row?.["n"]).to.be.within(1, 1_000);
			stream.destroy();
			await isGivenBack();
			await ask(`drop sequence "${sequence}"`);
		});

		it("may be left before their end, and the connection goes on", async () => {
			const backend = await backendOf(db);
			for await (const row of db.raw(ROWS, [100_000]).stream()) if (row.n === 5) break;
			expect(await backendOf(db)).to.equal(backend);
			await isGivenBack();
		});

		it("end with the error of the server, before the first and in the middle", async () => {
			const statements = { "42703": "select nonsense", "22012": "select 1 / (5000 - n) from generate_series(1, 10000) as n" };
			for (const [code, sql] of Object.entries(statements)) {
				const stream = db.raw(sql).stream();
				const read = async (): Promise<void> => {
					for await (const _ of stream);
				};
				expect(await rejection(read())).to.include({ code });
				await isGivenBack();
			}
		});

		it("pass through postProcessResponse, one by one, with their queryContext", async () => {
			const seen: unknown[] = [];
			const { db: processed } = subject.open({
				postProcessResponse: (row: unknown, context: unknown) => {
					seen.push(context);
					return { ...(row as object), isProcessed: true };
				},
			});
			const rows: unknown[] = [];
			for await (const row of processed.select(processed.raw("1 as n")).queryContext({ tenant: 5 }).stream()) rows.push(row);
			expect(rows).to.deep.equal([{ n: 1, isProcessed: true }]);
			expect(seen).to.deep.equal([{ tenant: 5 }]);
		});

		it("are those of their transaction", async () => {
			const trx = await db.transaction();
			await trx.raw("create temporary table words (word text) on commit drop");
			await trx("words").insert([{ word: "one" }, { word: "two" }]);
			const rows: unknown[] = [];
			for await (const row of trx("words").select().stream()) rows.push(row);
			expect(rows).to.deep.equal([{ word: "one" }, { word: "two" }]);
			expect(poolOf(db).numUsed()).to.equal(1);
			await trx.commit();
			await isGivenBack();
		});
	});
}
