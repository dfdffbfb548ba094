/** What an inherited connection writes, counted by a proxy between it and the server: nothing. */

import { reportProcessChange } from "@forksafe/core";
import { expect } from "chai";
import type pg from "pg";
import Cursor from "pg-cursor";
import { forkUnnoticed, pretendFork } from "../../../test/support/pretend-fork.ts";
import { settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import type { Client } from "../src/index.ts";
import { PostgresProxy } from "./support/proxy.ts";
import { openClient, openPool } from "./support/set-up.ts";

/** The part of pg's connection that `COPY ... FROM STDIN` is made of. */
interface CopyConnection extends pg.Connection {
	sendCopyFromChunk(chunk: Buffer): void;
	endCopyFrom(): void;
}

/** Prepares what an attempt needs, in the process that has opened the connection, and gives the attempt. */
type Attempt = (client: Client) => (() => unknown) | Promise<() => unknown>;

/** A query that is in the middle of a COPY when this resolves. */
async function startCopy(client: Client): Promise<CopyConnection> {
	await client.query("create temporary table copied (n text)");
	return new Promise((resolve) => {
		const copy = {
			submit: (connection: CopyConnection) => connection.query("copy copied from stdin"),
			handleCopyInResponse: resolve,
			handleCommandComplete: () => {},
			handleReadyForQuery: () => {},
			handleError: () => {},
		};
		client.query(copy as unknown as pg.Submittable);
	});
}

function quietly(promise: Promise<unknown>): Promise<unknown> {
	return promise.catch(() => {});
}

const attempts: Record<string, Attempt> = {
	"a query": (client) => () => quietly(client.query("select 1")),
	"a query with values": (client) => () => quietly(client.query("select $1::int", [1])),
	"queries that were queued": (client) => {
		for (let n = 0; n < 3; n++) void quietly(client.query("select pg_sleep(60)"));
		return () => quietly(client.query("select 1"));
	},
	end: (client) => () => client.end(),
	"end, while a query runs": (client) => {
		void quietly(client.query("select pg_sleep(60)"));
		return () => client.end();
	},
	"the next read of a cursor": async (client) => {
		const cursor = client.query(new Cursor("select * from generate_series(1, 5)"));
		await cursor.read(1);
		return () => quietly(cursor.read(1));
	},
	"the close of a cursor": async (client) => {
		const cursor = client.query(new Cursor("select * from generate_series(1, 5)"));
		await cursor.read(1);
		return () => void quietly(cursor.close());
	},
	"data for a COPY": async (client) => {
		const connection = await startCopy(client);
		return () => connection.sendCopyFromChunk(Buffer.from("1\n"));
	},
	"the end of a COPY": async (client) => {
		const connection = await startCopy(client);
		return () => connection.endCopyFrom();
	},
	"a write to the stream": (client) => () => client.connection.stream.write("Q"),
	"writes to the stream that are corked": (client) => () => {
		const { stream } = client.connection;
		stream.cork();
		stream.write("Q");
		stream.write("Q");
		stream.uncork();
	},
	"the end of the stream": (client) => () => client.connection.stream.end(),
	"a Terminate": (client) => () => client.connection.end(),
};

describe("nothing is written", () => {
	for (const transport of ["TCP", "TLS"] as const) {
		for (const [name, prepare] of Object.entries(attempts)) {
			it(`by ${name} after a fork that it was told of, over ${transport}`, async () => {
				const { client, proxy, attempt, before } = await setUp(transport, prepare);
				pretendFork();
				await attempt();
				await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
				expect(proxy.bytes).to.equal(before);
				expect(client.isDiscarded).to.equal(true);
			});

			it(`by ${name} in a copy of the whole machine, where even to close the socket would, over ${transport}`, async () => {
				const { client, proxy, attempt, before } = await setUp(transport, prepare);
				reportProcessChange();
				await attempt();
				await settle();
				expect([proxy.bytes, proxy.open]).to.deep.equal([before, 1]);
				expect(client.isDiscarded).to.equal(true);
			});

			it(`by ${name} in a fork that nobody has noticed yet, over ${transport}`, async () => {
				const { client, proxy, attempt, before } = await setUp(transport, prepare);
				client.on("error", () => {});
				forkUnnoticed();
				expect(client.isDiscarded).to.equal(false);
				await attempt();
				await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
				expect(proxy.bytes).to.equal(before);
				expect(client.isDiscarded).to.equal(true);
			});
		}

		it(`by a pool that ends, and by the release of its clients, over ${transport}`, async () => {
			const proxy = await new PostgresProxy().start();
			const pool = openPool({ connectionString: proxy.urlOf(transport) });
			const [held, idle] = [await pool.connect(), await pool.connect()];
			idle.release();
			void quietly(held.query("select pg_sleep(60)"));
			await proxy.atRest();
			const before = proxy.bytes;
			pretendFork();
			held.release(true);
			await pool.end();
			await untilTrue(() => proxy.open === 0, { what: "the sockets were closed" });
			expect(proxy.bytes).to.equal(before);
		});
	}

	it("is what makes the difference: without a change each attempt is seen by the proxy", async () => {
		for (const [name, prepare] of Object.entries(attempts)) {
			if (["end, while a query runs", "queries that were queued", "the end of the stream"].includes(name)) continue;
			const { client, proxy, attempt, before } = await setUp("TCP", prepare);
			client.on("error", () => {});
			void attempt();
			await untilTrue(() => proxy.bytes > before, { what: `${name} has arrived` });
		}
	});
});

interface SetUp {
	readonly client: Client;
	readonly proxy: PostgresProxy;
	readonly attempt: () => unknown;
	readonly before: number;
}

async function setUp(transport: "TCP" | "TLS", prepare: Attempt): Promise<SetUp> {
	const proxy = await new PostgresProxy().start();
	const client = await openClient({ connectionString: proxy.urlOf(transport) });
	const attempt = await prepare(client);
	await proxy.atRest();
	return { client, proxy, attempt, before: proxy.bytes };
}
