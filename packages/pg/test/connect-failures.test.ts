import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import process from "node:process";
import { inspect } from "node:util";
import { expect } from "chai";
import pg from "pg";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import type { Pool } from "../src/index.ts";
import { databaseParts, databaseUrl, untilSessions } from "./support/database.ts";
import { PostgresProxy } from "./support/proxy.ts";
import { openPool, uniqueName } from "./support/set-up.ts";

type Failure = Error & { code?: string };

const SECRET = "correct-horse";

const ways: Record<string, (pool: Pool) => Promise<Failure>> = {
	"a promise of connect": (pool) => rejection(pool.connect()),
	"a promise of query": (pool) => rejection(pool.query("select 1")),
	"a callback of connect": (pool) =>
		new Promise((resolve) =>
			pool.connect((error, client, done) => {
				expect(client).to.equal(undefined);
				done(); // as harmless as pg-pool's
				resolve(error as Failure);
			}),
		),
	"a callback of query": (pool) => new Promise((resolve) => pool.query("select 1", resolve)),
};

function at(url: string, change: { password?: string; pathname?: string }): string {
	return Object.assign(new URL(url), change).href;
}

async function closedPort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	server.close();
	await once(server, "close");
	return port;
}

function openSockets(): number {
	return process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP") || name === "TLSWrap").length;
}

/** What pg's own pool says to the same. */
async function saidByPg(config: pg.PoolConfig): Promise<Failure> {
	const pool = new pg.Pool(config);
	try {
		return await rejection(pool.connect());
	} finally {
		await pool.end();
	}
}

describe("a connect that fails", () => {
	const cases: Record<string, { code: string; config: () => pg.ClientConfig | Promise<pg.ClientConfig> }> = {
		"the password is wrong": {
			code: "28P01",
			config: () => ({ connectionString: at(databaseUrl(), { password: SECRET }) }),
		},
		"there is no such database": {
			code: "3D000",
			config: () => ({ connectionString: at(databaseUrl(), { pathname: "/no_such_database" }) }),
		},
		"nobody listens there": {
			code: "ECONNREFUSED",
			config: async () => ({ host: "127.0.0.1", port: await closedPort(), connectionString: undefined }),
		},
	};
	for (const [what, { code, config }] of Object.entries(cases)) {
		for (const [way, connect] of Object.entries(ways)) {
			it(`gives the driver's own error at once through ${way} when ${what}`, async () => {
				const applicationName = uniqueName();
				const options = { ...(await config()), application_name: applicationName };
				const expected = await saidByPg(options);
				const before = openSockets();

				const pool = openPool({ ...options, max: 1 });
				// Twice: the place of the first one is free again.
				for (let attempt = 0; attempt < 2; attempt++) {
					const error = await connect(pool);
					expect(error.code).to.equal(code);
					expect(error.message).to.equal(expected.message);
					expect(error.constructor).to.equal(expected.constructor);
					expect(inspect(error, { depth: 9, showHidden: true })).not.to.include(SECRET);
					expect({ ...error }).to.have.all.keys({ ...expected });
					expect(pool).to.include({ totalCount: 0, idleCount: 0, waitingCount: 0 });
				}
				await untilSessions(applicationName, 0);
				await untilTrue(() => openSockets() <= before, { what: "no socket is left open" });
			});
		}
	}

	it("leaves the way it came in its stack, and the driver's error as its cause", async () => {
		const pool = openPool({ host: "127.0.0.1", port: await closedPort(), connectionString: undefined });
		const error = await (async function theApplication(): Promise<Failure> {
			return await pool.connect().then(
				() => expect.fail("connected"),
				(reason: Failure) => reason,
			);
		})();
		expect(error.cause).to.be.instanceOf(Error).with.property("code", "ECONNREFUSED");
		expect(error.stack).to.include("Pool.lease").and.to.include("theApplication");
	});

	it("is over when the server is there: the next one succeeds", async () => {
		const proxy = await new PostgresProxy().start();
		await proxy.stop();
		const pool = openPool({ connectionString: proxy.urlOf(), max: 1 });
		expect((await rejection(pool.connect())).code).to.equal("ECONNREFUSED");
		await proxy.start();
		await pool.query("select 1");
	});

	it("is over when the password is right: the next one succeeds", async () => {
		const passwords = ["wrong", databaseParts().password];
		const pool = openPool({ ...databaseParts(), max: 1, password: () => passwords.shift() as string });
		expect((await rejection(pool.connect())).code).to.equal("28P01");
		await pool.query("select 1");
	});

	it("takes one who waits with it, not all", async () => {
		const passwords = ["wrong", databaseParts().password];
		const pool = openPool({ ...databaseParts(), max: 1, password: () => passwords.shift() as string });
		const [first, second] = [rejection(pool.connect()), pool.connect()];
		expect((await first).code).to.equal("28P01");
		(await second).release();
	});
});

describe("a server that accepts and never answers", () => {
	for (const [way, connect] of Object.entries(ways)) {
		it(`is given up after connectionTimeoutMillis, in pg-pool's words through ${way}, and the socket is closed`, async () => {
			const proxy = await new PostgresProxy().start();
			proxy.isSilent = true;
			const pool = openPool({ connectionString: proxy.urlOf(), max: 1, connectionTimeoutMillis: 300 });
			const failing = connect(pool);
			await untilTrue(() => proxy.bytes > 0, { what: "the start-up message has arrived" });
			expect(proxy.open).to.equal(1);
			const error = await failing;
			expect(error.message).to.equal("Connection terminated due to connection timeout");
			expect(error.cause).to.include({ code: "ERR_FORKSAFE_CONNECT", isTimeout: true });
			await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
			expect(pool).to.include({ totalCount: 0, waitingCount: 0 });
			proxy.isSilent = false;
			await pool.query("select 1");
		});
	}

	it("is given up when the pool ends", async () => {
		const proxy = await new PostgresProxy().start();
		proxy.isSilent = true;
		const pool = openPool({ connectionString: proxy.urlOf() });
		const failing = rejection(pool.connect());
		await untilTrue(() => proxy.open === 1, { what: "the socket is open" });
		await pool.end();
		expect((await failing).message).to.equal("Cannot use a pool after calling end on the pool");
		await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
	});
});
