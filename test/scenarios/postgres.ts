/** What only a connection of PostgreSQL can be in the middle of, through every face that hands out clients of pg. */

import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "chai";
import pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import Cursor from "pg-cursor";
import QueryStream from "pg-query-stream";
import type { Held, Subject } from "../faces/face.ts";
import { ask } from "../faces/postgres-view.ts";
import { ECHO } from "../faces/statements.ts";
import { untilTrue } from "../support/until-true.ts";
import {
	expectRefused,
	expectTraces,
	expectUnharmed,
	INHERITED,
	outcome,
	rethrow,
	type Scenario,
	soon,
	talk,
	unique,
	warm,
} from "./scenario.ts";

export const postgresScenarios: readonly Scenario[] = [
	{
		name: "with a transaction open on a connection: the child's statements are refused, the parent commits",
		contract: [5, 7, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const keys = { child: unique("child"), parent: unique("parent") };
			await client.query("begin");
			await held.insert(keys.parent);
			const child = await context.fork("child", async () => {
				await expectRefused(held.insert(keys.child), INHERITED);
				await expectRefused(client.query("rollback"), INHERITED);
				await held.release();
				await talk(subject, "the child");
			});
			await child.result;
			await client.query("commit");
			await held.release();
			await expectTraces(context, { [keys.parent]: 1, [keys.child]: 0 });
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a named statement prepared: the child's new connections prepare it anew",
		contract: [1, 5, 12],
		unpooled: "a statement has its name on one backend only (PgBouncer before 1.21, or without max_prepared_statements)",
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const prepared = { name: "echo", text: ECHO };
			const echo = async (on: pg.Client, text: string): Promise<string> => {
				const { rows } = await on.query<{ answer: string }>({ ...prepared, values: [text] });
				return rows[0]?.answer ?? "";
			};
			expect(await echo(client, "first")).to.equal("first");
			const child = await context.fork("child", async () => {
				await expectRefused(echo(client, "not mine"), INHERITED);
				const own = await holdClient(subject);
				expect(await echo(own.client, "mine")).to.equal("mine");
				expect(await echo(own.client, "mine again")).to.equal("mine again");
				await own.held.release();
			});
			for (let i = 0; i < 50; i++) expect(await echo(client, `the parent's ${i}`)).to.equal(`the parent's ${i}`);
			await child.result;
			expect(await echo(client, "last")).to.equal("last");
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a LISTEN: the parent goes on hearing, the child is told that it will hear nothing, and can listen on its own",
		contract: [2, 5, 12],
		unpooled: "it is a backend that listens, and the client has that for one statement only",
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const heard: string[] = [];
			const errors: Error[] = [];
			client.on("notification", ({ payload = "" }) => heard.push(payload));
			client.on("error", (error) => errors.push(error));
			// Another program may run the same scenario on this server.
			const channel = unique("news");
			await client.query(`listen "${channel}"`);
			const news = Array.from({ length: 20 }, (_, index) => `news ${index}`);
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				await untilTrue(() => errors.length > 0, { what: "the child's listener has had an error" });
				await expectRefused(Promise.reject(errors[0]), INHERITED);
				await expectRefused(client.query("listen more"), INHERITED);
				expect(heard, "news in the child").to.deep.equal([]);
				const own = await holdClient(subject);
				const forChild = once(own.client, "notification");
				await own.client.query(`listen "${channel} of the child"`);
				await ask(context.url, "select pg_notify($1, 'for the child')", [`${channel} of the child`]);
				expect((await soon(forChild, "news for the child", 8_000))[0]).to.include({ payload: "for the child" });
				await own.held.release();
			});
			for (const item of news) await ask(context.url, "select pg_notify($1, $2)", [channel, item]);
			await child.result;
			await untilTrue(() => heard.length === news.length, { what: "all news have come" });
			expect(heard).to.deep.equal(news);
			expect(errors, "errors in the parent").to.deep.equal([]);
			await client.query(`unlisten "${channel}"`);
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a cursor half read: the parent reads on, the child may not, and can close its copy",
		contract: [3, 5, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const cursor = client.query(new Cursor<{ n: number }>(NUMBERS));
			const first = await cursor.read(10);
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				await expectRefused(cursor.read(10), INHERITED);
				await soon(cursor.close(), "the end of the inherited cursor");
				await held.release();
				const own = await holdClient(subject);
				expect(await own.client.query(new Cursor<{ n: number }>(NUMBERS)).read(2)).to.deep.equal([{ n: 1 }, { n: 2 }]);
				await own.client.end();
			});
			await child.result;
			const rest = await cursor.read(1_000);
			expect([...first, ...rest].map(({ n }) => n)).to.deep.equal(numbers());
			await cursor.close();
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a query stream half read: the parent reads on, the child may not, and can stream on its own",
		contract: [3, 5, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const rows = streamNumbers(client);
			const first = await someOf(rows);
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				await expectRefused(rest(rows), INHERITED);
				await held.release();
				const own = await holdClient(subject);
				expect((await rest(streamNumbers(own.client))).map(({ n }) => n)).to.deep.equal(numbers());
				await own.held.release();
			});
			await child.result;
			expect([first, ...(await rest(rows))].map(({ n }) => n)).to.deep.equal(numbers());
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a COPY half read: the parent reads the rest, the child nothing, and can copy on its own",
		contract: [3, 5, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const copied = readCopy(client, COPIED);
			const first = await someOf(copied);
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				await expectRefused(rest(copied), INHERITED);
				await held.release();
				const own = await holdClient(subject);
				expect(Buffer.concat(await rest(readCopy(own.client, 3))).toString()).to.equal("1\n2\n3\n");
				await own.held.release();
			});
			await child.result;
			const bytes = Buffer.concat([first, ...(await rest(copied))]);
			expect(bytes.equals(Buffer.from(`${numbers(COPIED).join("\n")}\n`)), "all was copied").to.equal(true);
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a COPY half written: the parent writes the rest, the child nothing, and can copy on its own",
		contract: [3, 5, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const [key, ofChild] = [unique("copied"), unique("copied by the child")];
			const lines = `${key}\n`.repeat(20_000);
			const copy = client.query(copyFrom("copy traces (key) from stdin"));
			copy.on("error", () => {});
			await new Promise((resolve) => copy.write(lines, resolve));
			const child = await context.fork("child", async () => {
				const failed = once(copy, "error").then(([error]: unknown[]) => ({ error }));
				copy.write(lines);
				copy.end();
				await talk(subject, "the child");
				await expectRefused(rethrow(failed), INHERITED);
				const own = await holdClient(subject);
				const ownCopy = own.client.query(copyFrom("copy traces (key) from stdin"));
				ownCopy.end(`${ofChild}\n`.repeat(3));
				await soon(once(ownCopy, "finish"), "the end of the child's COPY");
				await own.held.release();
			});
			await child.result;
			copy.end(lines);
			await soon(once(copy, "finish"), "the end of the COPY");
			await expectTraces(context, { [key]: 40_000, [ofChild]: 3 });
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a query in flight, which the child tries to cancel: it has no key, the parent's query ends well",
		contract: [8, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const { held, client } = await holdClient(subject);
			const ownKey = cancelKey(client);
			expect(ownKey[0], "half of the cancel key").to.be.a("number");
			const query = new pg.Query("select pg_sleep(0.5)");
			const done = outcome(
				new Promise<void>((resolve, reject) => {
					query.on("end", () => resolve());
					query.on("error", reject);
				}),
			);
			client.query(query);
			const child = await context.fork("child", async () => {
				const key = cancelKey(client);
				// Whatever the child finds there, it sends, as pg does: on a connection of its own.
				if (key[0] !== undefined) await sendCancel(context.url, key as [number, number]);
				expect(key, "the cancel key in the child").to.deep.equal([undefined, undefined]);
				await talk(subject, "the child");
			});
			expect(await soon(done, "the end of the query")).to.deep.equal({ value: undefined });
			await child.result;
			expect(cancelKey(client), "the cancel key in the parent").to.deep.equal(ownKey);
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
];

const NUMBERS = "select generate_series(1, 1000) as n";
/** More lines than the sockets' buffers hold. */
const COPIED = 200_000;

function numbers(count = 1_000): number[] {
	return Array.from({ length: count }, (_, index) => index + 1);
}

function streamNumbers(client: pg.Client): AsyncIterator<{ n: number }, undefined> {
	return client.query(new QueryStream(NUMBERS, [], { batchSize: 10 }))[Symbol.asyncIterator]();
}

function readCopy(client: pg.Client, lines: number): AsyncIterator<Buffer, undefined> {
	return client.query(copyTo(`copy (select generate_series(1, ${lines})) to stdout`))[Symbol.asyncIterator]();
}

async function someOf<T>(iterator: AsyncIterator<T, undefined>): Promise<T> {
	const { value } = await iterator.next();
	if (value === undefined) throw new Error("there was nothing to read");
	return value;
}

async function rest<T>(iterator: AsyncIterator<T>): Promise<T[]> {
	const items: T[] = [];
	for (let item = await iterator.next(); !item.done; item = await iterator.next()) items.push(item.value);
	return items;
}

async function holdClient(subject: Subject): Promise<{ held: Held; client: pg.Client }> {
	const held = await subject.hold();
	await held.backend();
	return { held, client: held.raw as pg.Client };
}

function cancelKey(client: pg.Client): unknown[] {
	const { processID, secretKey } = client as unknown as Record<"processID" | "secretKey", unknown>;
	return [processID, secretKey];
}

/** PostgreSQL's CancelRequest. The server reads it, closes the connection and cancels. */
async function sendCancel(url: string, [processID, secretKey]: [number, number]): Promise<void> {
	const { host, port } = new pg.Client(url);
	const socket = host.startsWith("/") ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
	const request = Buffer.alloc(16);
	for (const [index, part] of [16, 80877102, processID, secretKey].entries()) request.writeInt32BE(part, index * 4);
	socket.write(request);
	await soon(once(socket, "close"), "the end of the cancel connection");
}
