import { InheritedConnectionError } from "@forksafe/core";
import { expect } from "chai";
import { ChaosProxy } from "../../../test/support/chaos-proxy.ts";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { Client, type ClientConfig, PgDriver } from "../src/index.ts";
import { ask, databaseUrl, terminate } from "./support/database.ts";
import { PostgresProxy } from "./support/proxy.ts";
import { afterThisTest, openPool } from "./support/set-up.ts";

const never = new AbortController().signal;

async function chaos(): Promise<ChaosProxy> {
	const { hostname: host, port } = new URL(databaseUrl());
	const proxy = await new ChaosProxy({ host, port: Number(port) }).start();
	afterThisTest(() => proxy.stop());
	return proxy;
}

/** A client as a pool has it. */
async function open(
	config: ClientConfig = {},
	ClientClass: typeof Client = Client,
): Promise<{ driver: PgDriver; client: Client }> {
	const driver = new PgDriver({
		createClient: () => new ClientClass({ connectionString: databaseUrl(), ...config }),
		onBroken: () => {},
	});
	const client = await driver.connect(never);
	afterThisTest(async () => client.connection.stream.destroy());
	return { driver, client };
}

describe("validation", () => {
	it("is one round trip: an empty query", async () => {
		const proxy = await new PostgresProxy().start();
		const { driver, client } = await open({ connectionString: proxy.urlOf() });
		const before = proxy.bytes;
		expect(await driver.validate(client, never)).to.equal(true);
		expect(proxy.bytes - before).to.equal("Q....0".length);
		expect((await client.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
	});

	it("leaves a transaction as it is, also one that has failed", async () => {
		const { driver, client } = await open();
		await client.query("begin");
		await rejection(client.query("select 1 / 0"));
		expect(await driver.validate(client, never)).to.equal(true);
		expect((await rejection(client.query("select 1"))).code).to.equal("25P02");
	});

	it("fails when the session was ended, whether the client has heard of it or not", async () => {
		const { driver, client } = await open();
		await terminate(client.processID);
		expect(await driver.validate(client, never)).to.equal(false);
		await untilTrue(() => client.connection.stream.closed, { what: "the socket has closed" });
		expect(await driver.validate(client, never)).to.equal(false);
	});

	for (const pipeline of [false, true]) {
		it(`that is given up closes the socket, so that the client ends at once (pipeline: ${pipeline})`, async () => {
			const proxy = await chaos();
			const { driver, client } = await open({ connectionString: proxy.urlOf(databaseUrl()), pipeline } as ClientConfig);
			proxy.stall();
			const noAnswer = new AbortController();
			const answer = driver.validate(client, noAnswer.signal);
			noAnswer.abort(new Error("no answer"));
			expect(client.connection.stream.destroyed).to.equal(true);
			await driver.destroy(client);
			expect(await answer).to.equal(false);
			await untilTrue(() => proxy.open === 0, { what: "the socket has closed" });
		});
	}

	it("that was given up before it began does not begin", async () => {
		const { driver, client } = await open();
		expect(await driver.validate(client, AbortSignal.abort(new Error("no answer")))).to.equal(false);
		expect(client.connection.stream.destroyed).to.equal(true);
	});

	it("leaves nothing behind on its signal", async () => {
		const { driver, client } = await open();
		const over = new AbortController();
		expect(await driver.validate(client, over.signal)).to.equal(true);
		over.abort();
		await client.query("select 1");
	});

	it("does not ask through the application's own class", async () => {
		class OwnClient extends Client {}
		const asked: unknown[] = [];
		Object.assign(OwnClient.prototype, {
			query(this: Client, ...args: unknown[]) {
				asked.push(args[0]);
				return Reflect.apply(Client.prototype.query, this, args);
			},
		});
		const { driver, client } = await open({}, OwnClient);
		expect(await driver.validate(client, never)).to.equal(true);
		await client.query("select 1");
		expect(asked).to.deep.equal(["select 1"]);
	});

	it("is not limited by query_timeout", async () => {
		const proxy = await chaos();
		const { driver, client } = await open({ connectionString: proxy.urlOf(databaseUrl()), query_timeout: 1 });
		proxy.latencyMillis = 20;
		expect(await driver.validate(client, never)).to.equal(true);
	});

	it("is asked in pipeline mode too", async () => {
		const { driver, client } = await open({ pipeline: true } as ClientConfig);
		expect(await driver.validate(client, never)).to.equal(true);
		const rows = await Promise.all([1, 2].map((n) => client.query("select $1::int as n", [n])));
		expect(rows.map((result) => result.rows)).to.deep.equal([[{ n: 1 }], [{ n: 2 }]]);
	});

	it("does not wait for a query that was left running, and does not end it", async () => {
		const { driver, client } = await open();
		const running = rejection(client.query("select pg_sleep(60)"));
		expect(await driver.validate(client, never)).to.equal(true);
		await ask("select pg_cancel_backend($1)", [client.processID]);
		expect((await running).code).to.equal("57014");
	});

	it("writes nothing in a process that has inherited the client", async () => {
		const proxy = await new PostgresProxy().start();
		const { driver, client } = await open({ connectionString: proxy.urlOf() });
		const before = proxy.bytes;
		const validating = driver.validate(client, never);
		pretendFork();
		expect(await validating).to.equal(false);
		expect(await driver.validate(client, never)).to.equal(false);
		await untilTrue(() => proxy.open === 0, { what: "the socket has closed" });
		expect(proxy.bytes - before).to.equal("Q....0".length);
		expect(await rejection(client.query("select 1"))).to.be.instanceOf(InheritedConnectionError);
	});
});

describe("a pool", () => {
	it("takes another client when one that was idle does not answer, and nobody hears of it", async () => {
		const proxy = await chaos();
		const lines: string[] = [];
		const pool = openPool({
			connectionString: proxy.urlOf(databaseUrl()),
			validateAfterIdleMillis: 1,
			validateTimeoutMillis: 100,
			log: (line: string) => line.startsWith("forksafe") && lines.push(line),
		});
		const clients = await Promise.all([1, 2, 3].map(() => pool.connect()));
		for (const client of clients) client.release();
		proxy.stall();
		const before = Date.now();
		await untilTrue(() => Date.now() > before + 20, { what: "some time has passed" });
		const answers = await Promise.all(Array.from({ length: 5 }, () => pool.query("select 1 as n")));
		for (const { rows } of answers) expect(rows).to.deep.equal([{ n: 1 }]);
		expect(lines).to.deep.equal([]);
	});
});
