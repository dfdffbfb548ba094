import { inspect } from "node:util";
import { OptionError } from "@forksafe/core";
import { expect } from "chai";
import pg from "pg";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { Client, Pool, type PoolConfig } from "../src/index.ts";
import { ask, databaseParts, databaseUrl, sessionsNamed, untilSessions } from "./support/database.ts";
import { openPool, uniqueName } from "./support/set-up.ts";

class OwnClient extends Client {}

const accepted: Required<{ [Name in keyof PoolConfig]: readonly unknown[] }> = {
	// the pool's
	name: ["orders"],
	min: [0, 10],
	max: [1, 10_000],
	poolSize: [1],
	maxPending: [0, 5],
	leakThresholdMillis: [0, 60_000],
	connectHeadStartMillis: [0, 5],
	maxConnecting: [0, 5],
	permits: [{ acquire: () => {}, release: () => {} }],
	validateAfterIdleMillis: [0, 50],
	validateTimeoutMillis: [0, 50],
	maxLifetimeMillis: [0, 60_000],
	maxUses: [0, 1, Number.POSITIVE_INFINITY],
	maxLifetimeSeconds: [0, 0.5, 60],
	idleTimeoutMillis: [0, 1, null],
	connectionTimeoutMillis: [0, 0.5, 2_000],
	allowExitOnIdle: [true, false],
	verify: [() => {}],
	onConnect: [() => {}, async () => {}],
	processWatch: ["always", "once", "off"],
	onProcessChange: [() => {}],
	log: [() => {}],
	Client: [Client, pg.Client, OwnClient],
	Promise: [Promise],
	// the client's
	user: ["me"],
	database: ["db"],
	password: ["secret", () => "secret"],
	port: [5433],
	host: ["127.0.0.1"],
	connectionString: ["postgres://me@localhost/db"],
	ssl: [true, false, { rejectUnauthorized: false }],
	sslnegotiation: ["postgres"],
	options: ["-c work_mem=8MB"],
	application_name: ["app", () => "app"],
	fallback_application_name: ["app"],
	client_encoding: ["utf8"],
	types: [pg.types],
	stream: [undefined],
	statement_timeout: [false, 100],
	lock_timeout: [100],
	idle_in_transaction_session_timeout: [100],
	query_timeout: [100],
	pipeline: [true],
	keepAlive: [true],
	keepAliveInitialDelayMillis: [10],
	enableChannelBinding: [true],
	scramMaxIterations: [100_000],
} as never;

const notWholeNumbers = [-1, 1.5, Number.NaN, "1", true];
const notDurations = [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "1", true];

const refused: Record<string, readonly unknown[]> = {
	name: [5, null],
	min: notWholeNumbers,
	max: [...notWholeNumbers, 0, Number.POSITIVE_INFINITY],
	poolSize: [...notWholeNumbers, 0],
	maxPending: notWholeNumbers,
	leakThresholdMillis: notDurations,
	connectHeadStartMillis: notDurations,
	maxConnecting: notWholeNumbers,
	validateAfterIdleMillis: notDurations,
	validateTimeoutMillis: notDurations,
	maxLifetimeMillis: notDurations,
	maxUses: notWholeNumbers,
	maxLifetimeSeconds: [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "1", true],
	idleTimeoutMillis: notDurations,
	connectionTimeoutMillis: [...notDurations, null],
	allowExitOnIdle: ["no", 1, null],
	verify: ["select 1", true, null],
	onConnect: ["set role app", {}],
	permits: [5, {}],
	processWatch: ["sometimes", true, null],
	onProcessChange: ["log it", {}],
	log: [true, console],
	Client: [pg, {}, "pg", class {}, class NativeClient extends pg.Connection {}, null],
	Promise: [5, {}],
	user: [5, {}],
	database: [{}, true],
	host: [5, []],
	port: ["abc", {}, -1, 65_536, 54.5, Number.NaN],
	connectionString: [5, {}],
	password: [5, {}],
	ssl: [5],
	options: [{}],
	application_name: [5, {}],
	client_encoding: [8],
	binary: ["x", 1],
	types: [5, {}],
	stream: [5, "socket"],
	statement_timeout: [-1, "x", true],
	lock_timeout: [-1],
	idle_in_transaction_session_timeout: [-1],
	query_timeout: ["x", -5],
	keepAlive: ["x"],
	keepAliveInitialDelayMillis: [-1],
	enableChannelBinding: ["x"],
};

function refusal(config: unknown): OptionError {
	const error = thrown(() => new Pool(config as PoolConfig));
	if (!(error instanceof OptionError)) throw error;
	return error;
}

describe("options", () => {
	for (const [option, values] of Object.entries(accepted)) {
		it(`accept ${option}`, () => {
			for (const value of values) expect(new Pool({ [option]: value } as PoolConfig).totalCount).to.equal(0);
			expect(new Pool({ [option]: undefined } as PoolConfig).totalCount).to.equal(0);
		});
	}

	for (const [option, values] of Object.entries(refused)) {
		for (const value of values) {
			it(`refuse ${option}: ${inspect(value, { depth: -1 })}`, () => {
				const error = refusal({ [option]: value });
				expect(error).to.include({ code: "ERR_FORKSAFE_OPTION", option });
				expect(error.value).to.satisfy((kept: unknown) => Object.is(kept, value));
				expect(error.message).to.include(`option ${option} (`).and.to.include("must be ");
			});
		}
	}

	it("refuse a min above max, and above the poolSize that stands for it", () => {
		expect(refusal({ min: 5, max: 4 })).to.include({ option: "min", value: 5 });
		expect(refusal({ min: 5, poolSize: 4 })).to.include({ option: "min", value: 5 });
		expect(refusal({ min: 11 })).to.include({ option: "min", value: 11 });
	});

	it("refuse what does not exist, and name the known option that looks like it", () => {
		for (const [wrong, right] of [
			["pasword", "password"],
			["connectionstring", "connectionString"],
			["idleTimeoutMilis", "idleTimeoutMillis"],
			["applicationname", "application_name"],
		] as const) {
			const error = refusal({ [wrong]: 5 });
			expect(error).to.include({ option: wrong, value: 5 });
			expect(error.message).to.equal(`option ${wrong} (5) does not exist; did you mean ${right}?`);
		}
		expect(refusal({ acquireTimeoutMillis: 5 }).option).to.equal("acquireTimeoutMillis");
	});

	it("refuse what is not an object", () => {
		for (const value of ["postgres://me:secret@localhost/db", 5, null]) expect(refusal(value).option).to.equal("options");
	});

	it("never show a secret in a refusal", () => {
		const secret = "correct horse";
		const url = `postgres://me:${secret}@localhost/db`;
		for (const config of [
			url,
			{ pasword: secret },
			{ connectionstring: url },
			{ pass: { word: secret } },
			{ password: secret, connectionString: url, max: -1 },
			{ Client: { password: secret } },
		]) {
			const error = refusal(config);
			for (const text of [error.message, error.stack, String(error), inspect(error), JSON.stringify(error)]) {
				expect(text).not.to.include(secret);
			}
		}
	});

	it("refuse the client of pg-native, with the reason", () => {
		class NativeClient extends pg.Connection {}
		expect(refusal({ Client: NativeClient }).message)
			.to.include("pg-native")
			.and.to.include("@forksafe/pg");
	});

	it("refuse before anything is opened", async () => {
		const applicationName = uniqueName();
		refusal({ connectionString: databaseUrl(), application_name: applicationName, min: 1, max: 0 });
		expect(await sessionsNamed(applicationName)).to.deep.equal([]);
	});

	it("refuse a processWatch of a client that does not exist", () => {
		const error = thrown(() => new Client({ processWatch: "never" as "off" }));
		expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "processWatch", value: "never" });
	});
});

describe("the options of the client", () => {
	it("reach the server", async () => {
		const applicationName = uniqueName();
		const pool = openPool({ application_name: applicationName, statement_timeout: 4_321, options: "-c work_mem=123kB" });
		const { rows } = await pool.query(
			`select current_setting('application_name') as name, current_setting('statement_timeout') as limit,
				current_setting('work_mem') as memory`,
		);
		expect(rows).to.deep.equal([{ name: applicationName, limit: "4321ms", memory: "123kB" }]);
	});

	it("may be a password that is asked for at each connect", async () => {
		const given: string[] = [];
		const pool = openPool({
			...databaseParts(),
			password: async () => {
				given.push("asked");
				return databaseParts().password;
			},
		});
		(await pool.connect()).release(true);
		await pool.query("select 1");
		expect(given).to.deep.equal(["asked", "asked"]);
	});

	it("may be an application_name that is asked for at each connect, with the true pid", async () => {
		const given: number[] = [];
		const prefix = uniqueName();
		const application_name: PoolConfig["application_name"] = ({ pid }) => `${prefix}-${given.push(pid)}`;
		const pool = openPool({ application_name });
		const [first, second] = [await pool.connect(), await pool.connect()];
		const names = [first, second].map(async (client) => (await client.query("show application_name")).rows);
		expect((await Promise.all(names)).flat().map(({ application_name: name }) => name)).to.deep.equal([
			`${prefix}-1`,
			`${prefix}-2`,
		]);
		expect(given).to.deep.equal([process.pid, process.pid]);
		first.release();
		second.release();
	});

	it("prevail over an application_name beside them when they are in the connection string, as with pg", async () => {
		const url = new URL(databaseUrl());
		url.searchParams.set("application_name", "from-the-string");
		const pool = openPool({ connectionString: url.href, application_name: () => expect.fail("was asked") });
		expect((await pool.query("show application_name")).rows).to.deep.equal([{ application_name: "from-the-string" }]);
	});

	for (const [what, application_name, expected] of [
		["throws", () => expect.fail("no name today"), { message: "no name today" }],
		["gives no string", async () => "too late", { code: "ERR_FORKSAFE_OPTION", option: "application_name" }],
	] as const) {
		it(`tell at once who waits that application_name ${what}`, async () => {
			const pool = openPool({ application_name: application_name as () => string });
			await pool.query("select 1").then(
				() => expect.fail("was connected"),
				(error: Error) => expect(error).to.include(expected),
			);
			expect(await rejection(pool.connect())).to.include(expected);
			expect(pool.totalCount).to.equal(0);
			const told = new Promise<unknown>((resolve) =>
				new Client({ application_name: application_name as () => string }).connect(resolve),
			);
			expect(await told).to.include(expected);
		});
	}

	it("may be those of another pool, which hides its password from loggers", async () => {
		const pool = openPool(databaseParts());
		expect(inspect(pool.options)).not.to.include("password");
		const same = new Pool(pool.options as PoolConfig);
		await same.query("select 1");
		await same.end();
	});

	it("may name a client class of the application's own, with options of its own", async () => {
		const pool = openPool({ Client: OwnClient, colour: "blue" } as PoolConfig);
		const client = await pool.connect();
		expect(pool.Client).to.equal(OwnClient);
		expect(client).to.be.instanceOf(OwnClient);
		client.release();
	});

	it("is our client when pg's is named", async () => {
		const pool = openPool({ Client: pg.Client as never });
		const client = await pool.connect();
		expect(client).to.be.instanceOf(Client);
		client.release();
	});
});

describe("max", () => {
	for (const option of ["max", "poolSize"]) {
		it(`given as ${option}, is never exceeded`, async () => {
			const applicationName = uniqueName();
			const pool = openPool({ [option]: 2, application_name: applicationName });
			await Promise.all([1, 2, 3, 4, 5].map(() => pool.query("select pg_sleep(0.01)")));
			expect(pool.totalCount).to.equal(2);
			expect(await sessionsNamed(applicationName)).to.have.lengthOf(2);
		});
	}
});

describe("maxUses", () => {
	it("closes a client that was used so often when it comes back", async () => {
		const pool = openPool({ maxUses: 2 });
		const pids: number[] = [];
		for (let use = 0; use < 4; use++) {
			const { rows } = await pool.query<{ pid: number }>("select pg_backend_pid() as pid");
			pids.push(...rows.map(({ pid }) => pid));
		}
		expect(pids[0]).to.equal(pids[1]);
		expect(pids[2]).to.equal(pids[3]);
		expect(pids[1]).not.to.equal(pids[2]);
	});
});

describe("maxLifetimeSeconds", () => {
	it("closes an old client when it is idle, and one in use when it comes back", async () => {
		const applicationName = uniqueName();
		const pool = openPool({ maxLifetimeSeconds: 0.1, idleTimeoutMillis: 0, application_name: applicationName });
		const held = await pool.connect();
		await pool.query("select 1");
		await untilTrue(() => pool.totalCount === 1, { what: "the idle client was closed" });
		await held.query("select 1");
		held.release();
		await untilTrue(() => pool.totalCount === 0, { what: "the one in use was closed when it came back" });
		await untilSessions(applicationName, 0);
	});
});

describe("maxLifetimeMillis", () => {
	it("closes an old client when it is idle, and one in use when it comes back", async () => {
		const pool = openPool({ maxLifetimeMillis: 100, idleTimeoutMillis: 1_000_000, max: 2 });
		const [held, idle] = [await pool.connect(), await pool.connect()];
		idle.release();
		await untilTrue(() => pool.totalCount === 1, { what: "the idle client was closed" });
		await held.query("select 1");
		held.release();
		expect(pool.totalCount).to.equal(0);
	});

	it("does not stand beside maxLifetimeSeconds, which has no chance in it", () => {
		const error = refusal({ maxLifetimeMillis: 60_000, maxLifetimeSeconds: 60 });
		expect(error).to.include({ option: "maxLifetimeMillis", value: 60_000 });
		expect(error.message).to.include("maxLifetimeSeconds");
	});
});

describe("connectionTimeoutMillis", () => {
	it("is 30 s for a free client and 10 s for a new one when it is not given, and for ever when it is 0", () => {
		const limits = (config: PoolConfig): number[] => {
			const { acquireTimeoutMillis, connectTimeoutMillis } = new Pool(config)["core"].options;
			return [acquireTimeoutMillis, connectTimeoutMillis];
		};
		expect(limits({})).to.deep.equal([30_000, 10_000]);
		expect(limits({ connectionTimeoutMillis: undefined })).to.deep.equal([30_000, 10_000]);
		expect(limits({ connectionTimeoutMillis: 0 })).to.deep.equal([0, 0]);
		expect(limits({ connectionTimeoutMillis: 500 })).to.deep.equal([500, 500]);
	});
});

describe("expiredCount", () => {
	it("counts those in use whose lifetime is over, until they come back", async () => {
		const pool = openPool({ maxLifetimeSeconds: 0.05 });
		const [held, other] = [await pool.connect(), await pool.connect()];
		expect(pool.expiredCount).to.equal(0);
		await untilTrue(() => pool.expiredCount === 2, { what: "both are too old" });
		expect(pool).to.include({ totalCount: 2, idleCount: 0 });
		held.release();
		expect(pool).to.include({ totalCount: 1, expiredCount: 1 });
		other.release(true);
		expect(pool).to.include({ totalCount: 0, expiredCount: 0 });
	});

	it("does not count one that has died meanwhile, nor one of another process", async () => {
		const pool = openPool({ maxLifetimeSeconds: 0.1 });
		const [dying, inherited] = [await pool.connect(), await pool.connect()];
		dying.connection.stream.destroy();
		await untilTrue(() => pool.expiredCount === 1, { what: "the other one is too old" });
		pretendFork();
		expect(pool.expiredCount).to.equal(0);
		dying.release();
		inherited.release();
	});

	it("stays 0 when the process changes before a lifetime is over", async () => {
		const pool = openPool({ maxLifetimeSeconds: 0.05 });
		const inherited = await pool.connect();
		pretendFork();
		const own = await pool.connect();
		await untilTrue(() => pool.expiredCount === 1, { what: "the client of this process is too old" });
		inherited.release();
		expect(pool.expiredCount).to.equal(1);
		own.release();
	});
});

describe("Promise", () => {
	class OwnPromise<T> extends Promise<T> {}

	it("is the class of all promises that the pool and its clients give, as with pg's pool", async () => {
		const config = { connectionString: databaseUrl(), Promise: OwnPromise, max: 1 };
		for (const pool of [new pg.Pool(config), openPool(config)]) {
			const connecting = pool.connect();
			expect(connecting).to.be.instanceOf(OwnPromise);
			const client = await connecting;
			const asking = client.query("select 1 as n");
			expect(asking).to.be.instanceOf(OwnPromise);
			expect((await asking).rows).to.deep.equal([{ n: 1 }]);
			client.release();
			const asked = [() => pool.query("selec"), () => pool.end(), () => pool.end(), () => pool.connect()];
			for (const begin of asked) {
				const promise: Promise<unknown> = begin();
				expect(promise).to.be.instanceOf(OwnPromise);
				await promise.catch(() => {});
			}
		}
	});

	it("may be left out", () => {
		const pool = new Pool();
		expect(pool.Promise).to.equal(Promise);
		expect(new Pool({ Promise: OwnPromise }).Promise).to.equal(OwnPromise);
	});
});

describe("idleTimeoutMillis and min", () => {
	it("close idle clients down to min", async () => {
		const applicationName = uniqueName();
		const pool = openPool({ idleTimeoutMillis: 20, min: 1, application_name: applicationName });
		const clients = await Promise.all([1, 2, 3].map(() => pool.connect()));
		for (const client of clients) client.release();
		expect(pool.totalCount).to.equal(3);
		await untilTrue(() => pool.totalCount === 1, { what: "one client is left" });
		await untilSessions(applicationName, 1);
		expect(pool.idleCount).to.equal(1);
	});
});

describe("onConnect", () => {
	for (const [how, onConnect] of [
		["synchronous", (client: pg.ClientBase) => void client.query("set work_mem to '321kB'").catch(() => {})],
		["asynchronous", async (client: pg.ClientBase) => void (await client.query("set work_mem to '321kB'"))],
	] as const) {
		it(`prepares each new client once, before anybody gets it (${how})`, async () => {
			let calls = 0;
			const pool = openPool({
				onConnect: (client) => {
					calls++;
					return onConnect(client);
				},
			});
			for (let use = 0; use < 2; use++) {
				expect((await pool.query("show work_mem")).rows).to.deep.equal([{ work_mem: "321kB" }]);
			}
			expect(calls).to.equal(1);
		});
	}

	for (const [how, onConnect] of [
		[
			"throws",
			() => {
				throw new RangeError("not this one");
			},
		],
		["rejects", async () => Promise.reject(new RangeError("not this one"))],
	] as const) {
		it(`closes the client when it ${how}, and tells who waits for it`, async () => {
			const applicationName = uniqueName();
			let isRefused = true;
			const pool = openPool({
				max: 1,
				application_name: applicationName,
				onConnect: () => (isRefused ? onConnect() : undefined),
			});
			const error = await rejection(pool.query("select 1"));
			expect(error).to.be.instanceOf(RangeError).with.property("message", "not this one");
			expect(pool.totalCount).to.equal(0);
			await untilSessions(applicationName, 0);
			isRefused = false;
			await pool.query("select 1");
		});
	}

	it("gives the error of its statement as it is", async () => {
		const pool = openPool({ onConnect: async (client) => void (await client.query("set role nobody_of_this_name")) });
		expect(await rejection(pool.connect()))
			.to.be.instanceOf(pg.DatabaseError)
			.with.property("code", "22023");
	});

	it("counts as a part of the connect: when it takes too long, the client is closed, and its place is free", async () => {
		const applicationName = uniqueName();
		let isStuck = true;
		const pool = openPool({
			max: 1,
			application_name: applicationName,
			connectionTimeoutMillis: 500,
			onConnect: () => (isStuck ? new Promise<void>(() => {}) : undefined),
		});
		expect((await rejection(pool.connect())).message).to.equal("Connection terminated due to connection timeout");
		await untilSessions(applicationName, 0);
		expect(pool["core"].stats().total).to.equal(0);
		isStuck = false;
		await pool.query("select 1");
	});
});

describe("verify", () => {
	it("is asked once for each new client, which is handed out when it has no objection", async () => {
		const asked: unknown[] = [];
		const pool = openPool({
			verify: (client, done) => {
				asked.push(client);
				client.query("select 1").then(() => done(), done);
			},
		});
		const client = await pool.connect();
		client.release();
		(await pool.connect()).release();
		expect(asked).to.deep.equal([client]);
	});

	it("closes a client that it refuses, and tells who waits for it", async () => {
		const applicationName = uniqueName();
		let isRefused = true;
		const pool = openPool({
			max: 1,
			application_name: applicationName,
			verify: (_client, done) => (isRefused ? done(new RangeError("a standby")) : done()),
		});
		expect(await rejection(pool.connect()))
			.to.be.instanceOf(RangeError)
			.with.property("message", "a standby");
		await untilSessions(applicationName, 0);
		isRefused = false;
		await pool.query("select 1");
	});
});

describe("log", () => {
	it("is told, once, of an idle client that was lost when nobody listens for errors", async () => {
		const lines: string[] = [];
		const pool = openPool({ log: (line: string) => lines.push(line) });
		const client = await pool.connect();
		const { processID } = client;
		client.release();
		await ask("select pg_terminate_backend($1, 5000)", [processID]);
		await untilTrue(() => pool.totalCount === 0, { what: "the client has gone" });
		expect(lines).to.deep.equal(["forksafe: an idle connection was lost: terminating connection due to administrator command"]);
	});
});
