/** What becomes of statements that the server has no more, or that give other columns than before. */
import { expect } from "chai";
import type { ClientBase } from "pg";
import { rejection } from "../../../test/support/promises.ts";
import { scoped } from "../../../test/support/scoped.ts";
import { ask } from "./support/database.ts";
import { askUnprepared, preparedOn, repeat, textsOn } from "./support/prepared.ts";
import { afterThisTest, openClient, openPool, uniqueName } from "./support/set-up.ts";

const prepare = { minUses: 1 };

/** A table of one test, which other sessions see. */
async function createTable(columns: string): Promise<string> {
	const name = `"${uniqueName()}"`;
	await ask(`create table ${name} (${columns})`);
	afterThisTest(async () => void (await ask(`drop table ${name}`)));
	return name;
}

/** A function of one session that counts its calls and fails with an SQLSTATE. */
async function createFailing(client: ClientBase, code: string): Promise<() => Promise<number>> {
	await client.query(`
		create temp sequence calls;
		create function pg_temp.fail(n int) returns int language plpgsql as $$
		begin perform nextval('calls'); if n < 0 then raise sqlstate '${code}'; end if; return n; end $$`);
	return async () => {
		const [row] = await askUnprepared<{ calls: number }>(client, "select last_value::int as calls from calls");
		return row?.calls ?? 0;
	};
}

describe("prepare, when the columns of a table have changed", () => {
	it("runs the query again, and prepares it anew", async () => {
		const table = await createTable("n int");
		const pool = openPool({ prepare, max: 1 });
		const text = `insert into ${table} values ($1) returning *`;
		await pool.query(text, [1]);
		await ask(`alter table ${table} add column word text default 'new'`);
		for (const n of [2, 3]) expect((await pool.query(text, [n])).rows).to.deep.equal([{ n, word: "new" }]);
		expect(await ask(`select n from ${table} order by n`)).to.deep.equal([{ n: 1 }, { n: 2 }, { n: 3 }]);
		const client = await pool.connect();
		afterThisTest(async () => client.release());
		expect((await preparedOn(client)).map(({ name, statement }) => [name.split("_").at(-1), statement])).to.deep.equal([
			["1", text],
		]);
		const removed = await createTable("n int, gone int");
		await client.query(`select * from ${removed} where $1`, [true]);
		await ask(`alter table ${removed} drop column gone`);
		expect((await client.query(`select * from ${removed} where $1`, [true])).fields.map(({ name }) => name)).to.deep.equal(["n"]);
	});

	it("runs a query without values again by the protocol that it had", async () => {
		const table = await createTable("n int");
		const client = await openClient({ prepare });
		await client.query(`select * from ${table}`);
		await ask(`alter table ${table} add column word text`);
		for (let i = 0; i < 2; i++) {
			expect((await client.query(`select * from ${table}`)).fields.map(({ name }) => name)).to.deep.equal(["n", "word"]);
		}
	});

	it("keeps the order of what is queued behind it", async () => {
		const table = await createTable("n serial, who text");
		const client = await openClient({ prepare });
		const insert = (who: string, returning: string): Promise<{ rows: { n: number }[] }> =>
			client.query(`insert into ${table} (who) values ($1) returning ${returning}`, [who]);
		await insert("first", "*");
		await ask(`alter table ${table} add column word text`);
		const answers = await Promise.all([insert("second", "*"), insert("third", "n"), insert("fourth", "*")]);
		expect(answers.map(({ rows }) => rows[0]?.n)).to.deep.equal([2, 3, 4]);
	});

	it("reports it in a transaction, and the next one is right", async () => {
		const table = await createTable("n int");
		const client = await openClient({ prepare });
		const text = `select * from ${table} where $1`;
		await client.query(text, [true]);
		await client.query("begin");
		await ask(`alter table ${table} add column word text`);
		expect(await rejection(client.query(text, [true]))).to.have.property("code", "0A000");
		expect(await rejection(client.query(text, [true]))).to.have.property("code", "25P02");
		await client.query("rollback");
		await client.query("begin");
		expect((await client.query(text, [true])).fields.map(({ name }) => name)).to.deep.equal(["n", "word"]);
		await client.query("commit");
		expect(await textsOn(client)).to.deep.equal([text]);
	});

	it("does not run what was given up meanwhile", async () => {
		const table = await createTable("n int");
		const client = await openClient({ prepare, query_timeout: 1_000 });
		const text = `insert into ${table} values ($1) returning *`;
		await client.query(text, [1]);
		const other = await openClient();
		await other.query("begin");
		await other.query(`alter table ${table} add column word text`);
		// It waits for the lock in order to be planned.
		expect((await rejection(client.query(text, [2]))).message).to.equal("Query read timeout");
		await other.query("commit");
		// Behind whatever would be run again.
		await client.query({ text: "select 1", query_timeout: 0 } as { text: string });
		expect(await ask(`select n from ${table}`)).to.deep.equal([{ n: 1 }]);
	});
});

describe("prepare, when the server has forgotten", () => {
	for (const reset of ["discard all", "deallocate all", "select 1; deallocate all"]) {
		it(`prepares anew after "${reset}", in a transaction too`, async () => {
			const client = await openClient({ prepare });
			const texts = ["select $1::int as n", "select $1::int + 1 as n"] as const;
			for (const text of texts) await client.query(text, [1]);
			await client.query(reset);
			expect(await preparedOn(client)).to.deep.equal([]);
			expect(client.connection).to.deep.include({ parsedStatements: {}, submittedNamedStatements: {} });
			await client.query("begin");
			for (const text of texts) expect((await client.query(text, [1])).rowCount).to.equal(1);
			await client.query("commit");
			expect(await textsOn(client)).to.deep.equal(texts);
		});
	}

	it("holds where a hook of the pool resets the session each time", async () => {
		const pool = openPool({ prepare, max: 1 });
		const answers = await repeat(5, async (n) =>
			scoped(await pool.connect(), async (client) => {
				await client.query("begin");
				const { rows } = await client.query("select $1::int as n", [n]);
				await client.query("commit");
				await client.query("discard all");
				return rows[0].n;
			}),
		);
		expect(answers).to.deep.equal([0, 1, 2, 3, 4]);
	});

	it("runs the query again where nobody has told that the statement has gone", async () => {
		const client = await openClient({ prepare });
		const text = "select $1::int as n";
		await client.query(text, [1]);
		await client.query("do $do$ begin execute 'deallocate all'; end $do$");
		expect(await preparedOn(client)).to.deep.equal([]);
		for (const n of [2, 3]) expect((await client.query(text, [n])).rows).to.deep.equal([{ n }]);
		expect(await textsOn(client)).to.deep.equal([text]);
	});

	it("reports that in a transaction, and the next one is right", async () => {
		const client = await openClient({ prepare });
		const text = "select $1::int as n";
		await client.query(text, [1]);
		await client.query("begin");
		await client.query("do $do$ begin execute 'deallocate all'; end $do$");
		expect(await rejection(client.query(text, [1]))).to.have.property("code", "26000");
		await client.query("rollback");
		await client.query("begin");
		expect((await client.query(text, [2])).rows).to.deep.equal([{ n: 2 }]);
		await client.query("commit");
	});

	it("runs a query again once, without a name, where no name is ever known: by a pooler, say", async () => {
		const client = await openClient({ prepare });
		const connection = client.connection as unknown as { parse(message: { name?: string }): void };
		const parse = connection.parse.bind(connection);
		let named = 0;
		connection.parse = (message) => {
			if (message.name) named++;
			parse(message.name ? { ...message, name: `other_${message.name}` } : message);
		};
		for (const n of [1, 2]) expect((await client.query("select $1::int as n", [n])).rows).to.deep.equal([{ n }]);
		expect(named).to.equal(2);
	});

	for (const code of ["26000", "0A000"]) {
		it(`does not run a second time what has run, and has said ${code} itself`, async () => {
			const client = await openClient({ prepare });
			const calls = await createFailing(client, code);
			await repeat(2, () => client.query("select pg_temp.fail($1)", [1]));
			const before = await preparedOn(client);
			expect(await rejection(client.query("select pg_temp.fail($1)", [-1]))).to.have.property("code", code);
			expect(await calls()).to.equal(3);
			await client.query("select pg_temp.fail($1)", [1]);
			expect(await preparedOn(client)).to.deep.equal(before);
		});
	}
});
