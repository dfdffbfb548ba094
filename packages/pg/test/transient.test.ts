import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { inspect } from "node:util";
import { expect } from "chai";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { Client, type ClientConfig, isTransient, PgDriver, type PgDriverSettings } from "../src/index.ts";
import { ask, databaseParts, databaseUrl, terminate } from "./support/database.ts";
import { PostgresProxy } from "./support/proxy.ts";
import { afterThisTest, openPool, uniqueName } from "./support/set-up.ts";

/** When a failure passes by itself. */
type Verdict = "always" | "once the pool has connected" | "never";

function verdict(error: unknown): Verdict {
	if (isTransient(error, false)) return isTransient(error, true) ? "always" : expect.fail("only before the first connect");
	return isTransient(error, true) ? "once the pool has connected" : "never";
}

function failure(code: string | undefined, message = "", syscall?: string): Error {
	return Object.assign(new Error(message), { code, syscall });
}

const table: [Verdict, unknown][] = [
	["always", failure("53300", "sorry, too many clients already")],
	["always", failure("53300", 'too many connections for role "app"')],
	["always", failure("57P03", "the database system is starting up")],
	["always", failure("57P01", "terminating connection due to administrator command")],
	["always", failure("57P02")],
	["always", failure("08P01", "no more connections allowed (max_client_conn)")],
	["always", failure("08P01", "client connections exceeded (max_db_client_connections)")],
	["always", failure("EAGAIN", "", "connect")],
	...["ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EAI_AGAIN"].map(
		(code): [Verdict, unknown] => ["once the pool has connected", failure(code)],
	),
	["once the pool has connected", failure("ENOENT", "connect ENOENT /tmp/.s.PGSQL.5432", "connect")],
	["once the pool has connected", failure(undefined, "Connection terminated unexpectedly")],
	["once the pool has connected", failure("08006")],
	["once the pool has connected", failure("08P01", "server login has been failing, try again later (server_login_retry)")],
	["once the pool has connected", failure("08P01", "query_wait_timeout")],
	["never", failure("08P01", "SASL authentication failed")],
	["never", failure("08P01", "no such database: app")],
	["never", failure("08P01", 'database "app" does not exist')],
	["never", failure("28P01", "password authentication failed")],
	["never", failure("28000")],
	["never", failure("3D000")],
	["never", failure("42501")],
	["never", failure("55000", "database is not currently accepting connections")],
	["never", failure("57P04", "the database was dropped")],
	["never", failure("ENOTFOUND")],
	["never", failure("EACCES", "", "connect")],
	["never", failure("ENOENT", "no such file", "open")],
	["never", failure("DEPTH_ZERO_SELF_SIGNED_CERT")],
	["never", failure("ERR_TLS_CERT_ALTNAME_INVALID")],
	["never", failure(undefined, "The server does not support SSL connections")],
	["never", failure(undefined, "timeout expired")],
	["once the pool has connected", new AggregateError([failure("ECONNREFUSED"), failure("ECONNREFUSED")])],
	["once the pool has connected", new AggregateError([failure("EACCES"), failure("ECONNREFUSED")])],
	["never", new AggregateError([failure("EACCES"), failure("ENOTFOUND")])],
	["never", new AggregateError([])],
	["never", Object.assign(new Error("a code that is no text"), { code: 53300 })],
	["never", "53300"],
	["never", undefined],
	["never", null],
];

describe("isTransient", () => {
	for (const [expected, error] of table) {
		const { code = "", message = String(error) } = (error ?? {}) as { code?: string; message?: string };
		const parts = error instanceof AggregateError ? inspect(error.errors.map((part: { code: string }) => part.code)) : "";
		it(`says of ${[code, message, parts].filter(Boolean).join(" ") || "an AggregateError of nothing"}: ${expected}`, () => {
			expect(verdict(error)).to.equal(expected);
		});
	}
});

describe("a failed connect passes", () => {
	async function connectError(config: ClientConfig): Promise<Error & { code?: string }> {
		const client = new Client(config);
		client.on("error", () => {}); // pg has a second one where the server closes
		const error = await rejection(client.connect());
		client.end().catch(() => {});
		return error;
	}

	/** It says no to TLS. */
	async function serverWithoutTls(): Promise<string> {
		const server = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.end("N")));
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		afterThisTest(async () => server.close());
		return `postgres://me@127.0.0.1:${(server.address() as AddressInfo).port}/db`;
	}

	async function fullRole(): Promise<ClientConfig> {
		const role = uniqueName();
		await ask(`create role "${role}" login password 'secret' connection limit 1`);
		afterThisTest(async () => void (await ask(`drop role "${role}"`)));
		const config = { ...databaseParts(), user: role, password: "secret" } as ClientConfig;
		const only = new Client(config);
		await only.connect();
		afterThisTest(() => only.end());
		return config;
	}

	const cases: Record<string, [Verdict, code: string | undefined, () => ClientConfig | Promise<ClientConfig>]> = {
		"a role that has all the connections it may have": ["always", "53300", fullRole],
		"a port where nobody listens": ["once the pool has connected", "ECONNREFUSED", () => ({ host: "127.0.0.1", port: 1 })],
		"a name of two addresses where nobody listens": [
			"once the pool has connected",
			"ECONNREFUSED",
			() => ({ host: "localhost", port: 1 }),
		],
		"a unix socket that is not there": ["once the pool has connected", "ENOENT", () => ({ host: "/nowhere" })],
		"a server that closes at once": [
			"once the pool has connected",
			undefined,
			async () => {
				const server = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.end()));
				server.listen(0, "127.0.0.1");
				await once(server, "listening");
				afterThisTest(async () => server.close());
				return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
			},
		],
		"a wrong password": ["never", "28P01", () => ({ ...databaseParts(), password: "wrong" }) as ClientConfig],
		"a database that does not exist": ["never", "3D000", () => ({ ...databaseParts(), database: "nothing" }) as ClientConfig],
		"a certificate that nobody has vouched for": [
			"never",
			"DEPTH_ZERO_SELF_SIGNED_CERT",
			() => ({ ...databaseParts(), ssl: { rejectUnauthorized: true } }) as ClientConfig,
		],
		"a server without TLS": [
			"never",
			undefined,
			async () => ({ connectionString: await serverWithoutTls(), ssl: { rejectUnauthorized: false } }),
		],
		"a password function that fails as a server may": [
			"never",
			"ECONNREFUSED",
			() =>
				({
					...databaseParts(),
					password: () => Promise.reject(failure("ECONNREFUSED", "no vault there")),
				}) as unknown as ClientConfig,
		],
	};
	for (const [what, [expected, code, config]] of Object.entries(cases)) {
		it(`${expected}: ${what}`, async () => {
			const error = await connectError(await config());
			expect(error.code).to.equal(code);
			expect(verdict(error)).to.equal(expected);
		});
	}
});

describe("an error of the application's own in a connect", () => {
	function driverWith(settings: Partial<PgDriverSettings>): PgDriver {
		return new PgDriver({
			createClient: () => new Client({ connectionString: databaseUrl() }),
			onBroken: () => {},
			...settings,
		});
	}

	const connect = (driver: PgDriver): Promise<Error> => rejection((async () => driver.connect(new AbortController().signal))());

	for (const [what, settings] of Object.entries<Partial<PgDriverSettings>>({
		"of a set-up": { setUp: () => Promise.reject(failure("ECONNREFUSED")) },
		"of the options": { createClient: () => Promise.reject(failure("ECONNREFUSED")) },
	})) {
		it(`does not pass, whatever code it has: ${what}`, async () => {
			const driver = driverWith(settings);
			const error = await connect(driver);
			expect(error).to.have.property("code", "ECONNREFUSED");
			expect(driver.isTransient(error, true)).to.equal(false);
		});
	}

	it("may pass where it is the session of the set-up that was lost", async () => {
		const driver = driverWith({
			setUp: async (client) => {
				const running = rejection(client.query("select pg_sleep(60)"));
				await terminate(client.processID);
				throw await running;
			},
		});
		const error = await connect(driver);
		expect(error).to.have.property("code", "57P01");
		expect(driver.isTransient(error, true)).to.equal(true);
	});
});

describe("a pool whose connect fails", () => {
	it("tries again while its role has all the connections that it may have", async () => {
		const role = uniqueName();
		await ask(`create role "${role}" login password 'secret' connection limit 2`);
		afterThisTest(async () => void (await ask(`drop role "${role}"`)));
		const pools = [1, 2].map(() =>
			openPool({ ...databaseParts(), user: role, password: "secret", max: 2, idleTimeoutMillis: 20 }),
		);
		const queries = pools.flatMap((pool) => Array.from({ length: 10 }, () => pool.query("select pg_sleep(0.002)")));
		expect(await Promise.all(queries)).to.have.lengthOf(20);
		await Promise.all(pools.map((pool) => pool.end()));
	});

	it("waits for a server that comes back, but not for one that was never there", async () => {
		const proxy = await new PostgresProxy().start();
		const pool = openPool({ connectionString: proxy.urlOf() });
		pool.on("error", () => {});
		await pool.query("select 1");
		await proxy.stop();
		await untilTrue(() => pool.totalCount === 0, { what: "the pool has lost its client" });
		const never = openPool({ connectionString: proxy.urlOf() });
		const waiting = pool.query("select 1 as n");
		expect(await rejection(never.query("select 1"))).to.have.property("code", "ECONNREFUSED");
		await proxy.start();
		expect((await waiting).rows).to.deep.equal([{ n: 1 }]);
	});
});
