/** What is prepared, and what is not. What becomes of it later: prepare-stale.test.ts. By real forks: test/integration/prepare.test.ts. */
import { once } from "node:events";
import { expect } from "chai";
import pg from "pg";
import Cursor from "pg-cursor";
import QueryStream from "pg-query-stream";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { type ClientConfig, cancelQuery } from "../src/index.ts";
import { ask, databaseUrl, terminate } from "./support/database.ts";
import { askUnprepared, preparedOn, repeat, textsOn } from "./support/prepared.ts";
import { afterThisTest, openClient, openPool, uniqueName } from "./support/set-up.ts";

const prepare = { minUses: 1 };

describe("prepare", () => {
	it("prepares nothing unless it is asked to", async () => {
		const client = await openClient();
		await repeat(10, (n) => client.query("select $1::int as n", [n]));
		expect(await preparedOn(client)).to.deep.equal([]);
	});

	it("prepares a text at its fifth use, and asks by its name from then on", async () => {
		const client = await openClient({ prepare: true });
		const text = "select $1::int as n, statement_timestamp() is not null as now";
		const ask = async (n: number): Promise<void> => {
			expect((await client.query(text, [n])).rows).to.deep.equal([{ n, now: true }]);
		};
		await repeat(4, ask);
		expect(await textsOn(client)).to.deep.equal([]);
		await ask(5);
		expect(await textsOn(client)).to.deep.equal([text]);
		await repeat(10, ask);
		const uses = "select (generic_plans + custom_plans)::int as uses from pg_prepared_statements";
		expect(await askUnprepared(client, uses)).to.deep.equal([{ uses: 11 }]);
	});

	it("is not filled by statements with their values in them, which never come again", async () => {
		const client = await openClient({ prepare: true });
		const often = "select $1::int + 1 as n";
		await repeat(5, () => client.query(often, [1]));
		await repeat(150, (n) => client.query(`select ${n} as n, $1::int as m`, [n]));
		expect(await textsOn(client)).to.deep.equal([often]);
	});

	it("has so many at a time, and closes those that were not used for longest", async () => {
		const client = await openClient({ prepare: { max: 3, minUses: 1 } });
		const text = (n: number): string => `select $1::int + ${n} as n`;
		await repeat(3, (n) => client.query(text(n), [0]));
		await client.query(text(0), [0]);
		await client.query(text(3), [0]);
		expect(await textsOn(client)).to.deep.equal([text(0), text(2), text(3)]);
		const answers = await repeat(50, async (n) => (await client.query(text(n % 7), [n])).rows[0].n);
		expect(answers).to.deep.equal(answers.map((_, n) => n + (n % 7)));
		expect(await textsOn(client)).to.have.lengthOf(3);
		const { parsedStatements, submittedNamedStatements } = client.connection as unknown as Record<string, object>;
		expect(Object.values(parsedStatements as object)).to.have.members(await textsOn(client));
		expect(submittedNamedStatements).to.deep.equal({});
	});

	it("keeps the order of what is queued, evictions included", async () => {
		const client = await openClient({ prepare: { max: 1, minUses: 1 } });
		await client.query("create temp table log (n serial, who text)");
		const texts = ["one", "two", "three"].map((who) => `insert into log (who) values ('${who} ' || $1) returning n`);
		const answers = Array.from({ length: 30 }, (_, n) => client.query(texts[n % 3] as string, [String(n)]));
		const order = (await Promise.all(answers)).map(({ rows }) => rows[0].n);
		expect(order).to.deep.equal(Array.from(order, (_, n) => n + 1));
		expect(await textsOn(client)).to.deep.equal([texts[2]]);
	});

	it("has names that no other session has", async () => {
		const clients = [await openClient({ prepare }), await openClient({ prepare })];
		const names = await Promise.all(
			clients.map(async (client) => {
				await client.query("select $1::int", [1]);
				return (await preparedOn(client))[0]?.name;
			}),
		);
		expect(names[0]).to.match(/^fs_[0-9a-f]{12}_0$/);
		expect(names[1])
			.to.match(/^fs_[0-9a-f]{12}_0$/)
			.and.not.to.equal(names[0]);
	});

	describe("without values", () => {
		for (const text of ["select 1 as n", "  with a as (select 1 as n) select * from a", "VALUES (1)"]) {
			it(`prepares ${text}, as it is surely one statement`, async () => {
				const client = await openClient({ prepare });
				for (const values of [undefined, []]) expect((await client.query(text, values)).rowCount).to.equal(1);
				expect(await textsOn(client)).to.deep.equal([text]);
			});
		}

		const others = [
			"select 1 as n; select 2 as n",
			"select 1 as n;",
			"select ';' as n",
			"select $$1$$ as n",
			"begin",
			"set application_name = 'other'",
			"  ",
			"",
			"-- nothing",
			"/**/ select 1 as n",
			"explain select 1",
			"selectable",
		];
		for (const text of others) {
			it(`sends ${JSON.stringify(text)} as ever`, async () => {
				const [ours, plain] = [await openClient({ prepare }), await openClient()];
				for (const values of [undefined, []]) {
					const [is, was] = await Promise.all([ours, plain].map((client) => outcomeOf(client.query(text, values))));
					expect(is).to.deep.equal(was);
				}
				expect(await textsOn(ours)).to.deep.equal([]);
			});
		}

		it("leaves results in text where pg asks for binary ones, which the simple protocol does not give", async () => {
			const client = await openClient({ prepare, binary: true } as ClientConfig);
			await client.query("select 1 as n");
			expect(await preparedOn(client)).to.deep.equal([]);
			await repeat(2, async (n) => expect((await client.query("select $1::int as n", [n])).rows).to.deep.equal([{ n }]));
			expect(await textsOn(client)).to.deep.equal(["select $1::int as n"]);
		});
	});

	describe("leaves alone", () => {
		it("names of the application's own", async () => {
			const client = await openClient({ prepare });
			await repeat(2, (n) => client.query({ name: "mine", text: "select $1::int as n", values: [n] }));
			expect(await preparedOn(client)).to.deep.equal([{ name: "mine", statement: "select $1::int as n" }]);
		});

		it("queryMode, rows, portals and types of parameters", async () => {
			const client = await openClient({ prepare });
			await client.query("create temp table numbers (n int)");
			const text = "insert into numbers values ($1)";
			for (const option of [{ queryMode: "extended" }, { rows: 5 }, { portal: "mine" }, { types: [23] }]) {
				await client.query({ text, values: [1], ...option } as unknown as pg.QueryConfig);
			}
			expect(await preparedOn(client)).to.deep.equal([]);
			expect((await client.query({ text: "table numbers" })).rowCount).to.equal(4);
		});

		it("cursors, streams and queries of a class of their own", async () => {
			const client = await openClient({ prepare });
			const text = "select generate_series(1, $1::int) as n";
			const cursor = client.query(new Cursor(text, [3]));
			expect(await cursor.read(2)).to.deep.equal([{ n: 1 }, { n: 2 }]);
			await cursor.close();
			expect(await client.query(new QueryStream(text, [3])).toArray()).to.have.lengthOf(3);
			const { promise, resolve } = Promise.withResolvers<unknown>();
			class OwnQuery extends pg.Query {}
			client.query(
				new OwnQuery({ text, values: [3] }, (error: unknown, result: pg.QueryResult) => resolve(error ?? result.rowCount)),
			);
			expect(await promise).to.equal(3);
			expect(await preparedOn(client)).to.deep.equal([]);
		});
	});

	it("gives what pg gives: arrays as rows, parsers of the query's own, callbacks, bytes, no rows", async () => {
		const [ours, plain] = [await openClient({ prepare }), await openClient()];
		const types = { getTypeParser: () => (value: string) => `parsed ${value}` };
		const queries: pg.QueryConfig[] = [
			{ text: "select $1::int as n, $1::int as n", values: [1], rowMode: "array" } as pg.QueryArrayConfig,
			{ text: "select $1::int as n", values: [1], types } as pg.QueryConfig,
			{ text: "select $1::int as n", values: [1] },
			{ text: "select $1::bytea as bytes, $2::json as json", values: [Buffer.from("bytes"), { a: 1 }] },
			{ text: "select $1::text as nothing", values: [null] },
			{ text: "select 1 where $1", values: [false] },
			{ text: "select 1 / $1::int", values: [0] },
			{ text: "select $1::int", values: ["no number"] },
			{ text: "select $1::int", values: [1, 2] },
			{ text: "select nothing from nowhere where $1", values: [1] },
		];
		await repeat(3, async () => {
			for (const query of queries) {
				const [is, was] = await Promise.all([ours, plain].map((client) => outcomeOf(client.query(query))));
				expect(is).to.deep.equal(was);
				const called = new Promise((resolve) => ours.query(query, (error, result) => resolve(seen(error ?? result))));
				expect(await called).to.deep.equal(was);
			}
		});
		expect(await textsOn(ours)).to.include(queries[0]?.text);
	});

	it("believes in no statement that the server has refused", async () => {
		const client = await openClient({ prepare });
		const text = "select n from later where n = $1";
		await repeat(3, async () => expect(await rejection(client.query(text, [1]))).to.have.property("code", "42P01"));
		await client.query("create temp table later as select 1 as n");
		await repeat(2, async () => expect((await client.query(text, [1])).rows).to.deep.equal([{ n: 1 }]));
		expect(await textsOn(client)).to.deep.equal([text]);
	});

	it("believes in no statement that pg has closed, because a value cannot be sent", async () => {
		const client = await openClient({ prepare });
		const loop: { self?: unknown } = {};
		loop.self = loop;
		const text = "select $1::json is null as n";
		const sendLoop = async (): Promise<void> => {
			expect((await rejection(client.query(text, [loop]))).message).to.include("circular");
		};
		await sendLoop();
		expect(await preparedOn(client)).to.deep.equal([]);
		await client.query("begin");
		await repeat(2, async () => {
			expect((await client.query(text, [null])).rows).to.deep.equal([{ n: true }]);
			await sendLoop();
		});
		await client.query("commit");
		expect(await preparedOn(client)).to.deep.equal([]);
		expect(client.connection).to.deep.include({ parsedStatements: {}, submittedNamedStatements: {} });
	});

	it("goes on after a query was cancelled", async () => {
		const name = uniqueName();
		const client = await openClient({ prepare, application_name: name });
		const text = "select pg_sleep($1::float)";
		await client.query(text, [0]);
		const slow = rejection(client.query(text, [60]));
		const active = "select 1 from pg_stat_activity where application_name = $1 and state = 'active'";
		await untilTrue(async () => (await ask(active, [name])).length === 1, { what: "the server is at it" });
		await cancelQuery(client);
		expect(await slow).to.have.property("code", "57014");
		await client.query(text, [0]);
		expect((await preparedOn(client)).map((statement) => statement.name.split("_").at(-1))).to.deep.equal(["0"]);
	});

	describe("pipelining", () => {
		it("sends ahead under a name only what the server has parsed", async () => {
			const client = await openClient({ prepare: { max: 2, minUses: 1 }, pipeline: true });
			const failed = Array.from({ length: 3 }, () => rejection(client.query("select n from nowhere where n = $1", [1])));
			expect((await Promise.all(failed)).map(({ code }) => code)).to.deep.equal(["42P01", "42P01", "42P01"]);
			const answers = Array.from({ length: 100 }, (_, n) => client.query(`select $1::int + ${n % 5} as n`, [n]));
			const got = (await Promise.all(answers)).map(({ rows }) => rows[0].n);
			expect(got).to.deep.equal(got.map((_, n) => n + (n % 5)));
			expect(await preparedOn(client)).to.have.lengthOf(2);
			const { parsedStatements } = client.connection as unknown as { parsedStatements: Record<string, string> };
			expect(Object.values(parsedStatements)).to.have.members(await textsOn(client));
		});

		it("reports what has gone where others were sent behind it, and goes on", async () => {
			const client = await openClient({ prepare, pipeline: true });
			const query = (n: number): Promise<pg.QueryResult> => client.query("select $1::int as n", [n]);
			for (const behind of [() => query(3), () => client.query("begin")]) {
				await query(1);
				const [name] = (await preparedOn(client)).map((statement) => statement.name);
				const answers = [client.query(`deallocate ${name}`), query(2), behind()].map(outcomeOf);
				expect((await Promise.all(answers))[1]).to.have.property("code", "26000");
				await client.query("rollback");
				expect((await query(5)).rows).to.deep.equal([{ n: 5 }]);
			}
		});
	});

	it("lets a client that has never asked be ended by an administrator", async () => {
		const client = await openClient({ prepare });
		client.on("error", () => {}); // of its socket, which is closed next
		const error = once(client, "error");
		await terminate(client.processID);
		expect((await error)[0]).to.have.property("code", "57P01");
	});

	it("is of the connection: another one of the pool starts with none", async () => {
		const pool = openPool({ prepare, max: 1 });
		await pool.query("select $1::int", [1]);
		const first = await pool.connect();
		expect(await preparedOn(first)).to.have.lengthOf(1);
		first.release(true);
		const second = await pool.connect();
		afterThisTest(async () => second.release());
		expect(await preparedOn(second)).to.deep.equal([]);
		expect((await second.query("select $1::int as n", [2])).rows).to.deep.equal([{ n: 2 }]);
	});

	it("does the same over TLS", async () => {
		const client = await openClient({ connectionString: databaseUrl("TLS"), prepare: { max: 1, minUses: 1 } });
		const answers = await repeat(6, async (n) => (await client.query(`select $1::int + ${n % 2} as n`, [n])).rows[0].n);
		expect(answers).to.deep.equal([0, 2, 2, 4, 4, 6]);
		expect(await preparedOn(client)).to.have.lengthOf(1);
	});
});

async function outcomeOf(query: Promise<pg.QueryResult>): Promise<unknown> {
	return seen(await query.catch((error: unknown) => error));
}

/** What an application sees of an answer. */
function seen(answer: unknown): unknown {
	if (Array.isArray(answer)) return answer.map(seen);
	if (answer instanceof Error) {
		const { code, message } = answer as Error & { code?: string };
		return { code, message: message.replace(/"fs_\w+"/, '""') };
	}
	const { command, rowCount, rows, fields } = answer as pg.QueryResult;
	return { command, rowCount, rows, fields: fields.map(({ name, dataTypeID }) => ({ name, dataTypeID })) };
}
