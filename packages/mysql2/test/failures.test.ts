/** What a real server says when it refuses, and what that means. */
import { inspect } from "node:util";
import { expect } from "chai";
import type { ConnectionOptions } from "mysql2";
import { askMariadb, type MariadbServer, startMariadb } from "../../../test/support/mariadb.ts";
import { follow, rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { concernsServer, end, isTransient } from "../src/index.ts";
import { MariadbProxy } from "./support/proxy.ts";
import {
	afterThisTest,
	ask,
	connected,
	createTable,
	createUser,
	idOf,
	openConnection,
	startConnection,
} from "./support/set-up.ts";

/** Why a connect fails. */
function refusalOf(options: ConnectionOptions): Promise<Error & { readonly code?: string }> {
	const connection = startConnection(options);
	connection.on("error", () => {});
	return rejection(connected(connection));
}

/** Sets a variable of the server for the running test. */
async function setGlobal(name: string, value: number): Promise<void> {
	const [row] = await ask<{ value: number }>(`select @@global.${name} as value`);
	await ask(`set global ${name} = ${value}`);
	afterThisTest(() => ask(`set global ${name} = ${row?.value}`));
}

/** Fails for now, whether the pool has ever connected or not. */
function expectPassing(error: Error): void {
	expect([false, true].map((hasConnected) => isTransient(error, hasConnected))).to.deep.equal([true, true]);
}

/** Passes by itself only where it was once otherwise. */
function expectPassingOnceConnected(error: Error): void {
	expect([false, true].map((hasConnected) => isTransient(error, hasConnected))).to.deep.equal([false, true]);
}

function expectFinal(error: Error): void {
	expect([false, true].map((hasConnected) => isTransient(error, hasConnected))).to.deep.equal([false, false]);
}

describe("isTransient, of what a server refuses a connect with", () => {
	it("is true when the server is full", async () => {
		const user = await createUser();
		const others = await Promise.all(Array.from({ length: 10 }, () => openConnection(user)));
		// One more is kept for administrators.
		await setGlobal("max_connections", 10);
		const error = await refusalOf(user);
		expect(error).to.include({ code: "ER_CON_COUNT_ERROR", errno: 1040 });
		expectPassing(error);
		for (const other of others) other.destroy();
	});

	it("is true when the user has all connections of their own limit, and false for their limit of queries", async () => {
		const user = await createUser("with max_user_connections 1");
		await openConnection(user);
		const error = await refusalOf(user);
		expect(error).to.include({ code: "ER_USER_LIMIT_REACHED", errno: 1226 });
		expectPassing(error);

		const hourly = await createUser("with max_connections_per_hour 1");
		await openConnection(hourly);
		const used = await refusalOf(hourly);
		expect(used).to.include({ code: "ER_USER_LIMIT_REACHED" });
		expectFinal(used);
	});

	it("is false for a wrong password", async () => {
		const error = await refusalOf({ ...(await createUser()), password: "wrong" });
		expect(error).to.include({ code: "ER_ACCESS_DENIED_ERROR" });
		expectFinal(error);
	});

	it("is false for a database that is not there", async () => {
		const error = await refusalOf({ ...(await createUser()), database: "nothing" });
		expect(error).to.include({ code: "ER_BAD_DB_ERROR" });
		expectFinal(error);
	});

	it("is false for a name that does not resolve, and for a certificate that nobody trusts", async () => {
		const { uri: _, ...parts } = await createUser();
		const unknown = await refusalOf({ ...parts, host: "no-such-host.invalid" });
		expect(unknown.code).to.be.oneOf(["ENOTFOUND", "EAI_AGAIN"]);
		if (unknown.code === "ENOTFOUND") expectFinal(unknown);
		const untrusted = await refusalOf({ ...parts, ssl: { rejectUnauthorized: true } });
		expect(untrusted).to.have.property("code").that.is.oneOf(["HANDSHAKE_SSL_ERROR", "DEPTH_ZERO_SELF_SIGNED_CERT"]);
		expectFinal(untrusted);
	});

	for (const options of [
		{ uri: "", host: "127.0.0.1", port: 1 },
		{ uri: "", socketPath: "/nowhere/socket" },
	]) {
		it(`is true once the pool has connected when nobody is there (${options.socketPath ?? options.host})`, async () => {
			const error = await refusalOf({ ...options, user: "any" });
			expect(error.code).to.be.oneOf(["ECONNREFUSED", "ENOENT"]);
			expectPassingOnceConnected(error);
		});
	}

	it("is true once the pool has connected when the socket is closed before the server has answered", async () => {
		const proxy = await new MariadbProxy().start();
		proxy.isSilent = true;
		const refused = refusalOf({ uri: proxy.urlOf() });
		await untilTrue(() => proxy.open === 1, { what: "it has begun" });
		await proxy.stop();
		const error = await refused;
		expect(error.code).to.be.oneOf(["PROTOCOL_CONNECTION_LOST", "ECONNRESET"]);
		expectPassingOnceConnected(error);
	});

	it("is true once the pool has connected when the server does not answer in time", async () => {
		const proxy = await new MariadbProxy().start();
		proxy.isSilent = true;
		const error = await refusalOf({ uri: proxy.urlOf(), connectTimeout: 50 });
		expect(error.code).to.equal("ETIMEDOUT");
		expectPassingOnceConnected(error);
	});

	for (const nothing of [undefined, null, "text", 5, {}, { code: 5, message: 5 }, new Error("of an application")]) {
		it(`is false for ${inspect(nothing, { depth: 0 }).split("\n")[0]}`, () => {
			expect([false, true].map((hasConnected) => isTransient(nothing, hasConnected))).to.deep.equal([false, false]);
			expect(concernsServer(nothing)).to.equal(false);
		});
	}
});

describe("a server of its own", function () {
	this.timeout(60_000);
	let own: MariadbServer;
	before(async () => {
		own = await startMariadb({ "max-user-connections": 1 });
	});
	after(() => own.stop());

	it("refuses whoever has all the connections that any user may have, and that may pass", async () => {
		const admin = own.urls.TCP;
		await askMariadb(admin, "create user limited@'%' identified by 'secret'");
		const { hostname, port } = new URL(admin);
		const user: ConnectionOptions = { uri: "", host: hostname, port: Number(port), user: "limited", password: "secret" };
		const first = await openConnection(user);
		const error = await refusalOf(user);
		expect(error).to.include({ code: "ER_TOO_MANY_USER_CONNECTIONS", errno: 1203 });
		expectPassing(error);
		await end(first);
		const isFree = async (): Promise<boolean> => {
			const [row] = await askMariadb<{ n: number }>(
				admin,
				"select count(*) as n from information_schema.processlist where user = 'limited'",
			);
			return row?.n === 0;
		};
		await untilTrue(isFree, { what: "the server has seen it go" });
		await openConnection(user);
	});

	it("goes without a word when it shuts down, and what comes then may pass", async () => {
		const connection = await openConnection({ uri: own.urls.TCP });
		connection.on("error", () => {});
		const running = rejection(connection.promise().query("select sleep(60)"));
		const closed = follow(own.stop());
		expect(await running)
			.to.have.property("code")
			.that.is.oneOf(["PROTOCOL_CONNECTION_LOST", "ECONNRESET"]);
		await untilTrue(() => closed.state === "fulfilled", { what: "it has ended", deadlineMillis: 20_000 });
		expectPassingOnceConnected(await refusalOf({ uri: own.urls.TCP }));
	});
});

describe("a server that says that it shuts down", () => {
	it("is meant by its own code, at the connect and by every query", async () => {
		const promised = (await openConnection()).promise();
		// As MySQL does; MariaDB 10.11 closes the connection instead.
		const error = await rejection(
			promised.query("signal sqlstate '08S01' set mysql_errno = 1053, message_text = 'Server shutdown in progress'"),
		);
		expect(error).to.include({ code: "ER_SERVER_SHUTDOWN", errno: 1053 });
		expectPassing(error);
		expect(concernsServer(error)).to.equal(true);
	});
});

describe("concernsServer", () => {
	it("is true when the server is read only, as it is after a fail-over", async () => {
		const user = await createUser();
		const promised = (await openConnection(user)).promise();
		await setGlobal("read_only", 1);
		const error = await rejection(promised.query("create table refused (n int)"));
		expect(error).to.include({ code: "ER_OPTION_PREVENTS_STATEMENT", errno: 1290 });
		expect(concernsServer(error)).to.equal(true);
	});

	it("is false when only the transaction is read only", async () => {
		const table = await createTable("n int");
		const promised = (await openConnection()).promise();
		await promised.query("start transaction read only");
		const error = await rejection(promised.query(`insert into ${table} values (1)`));
		expect(error).to.include({ code: "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION" });
		expect(concernsServer(error)).to.equal(false);
	});

	it("is false for another option that prevents a statement", async () => {
		const error = await rejection(ask("set global max_user_connections = 5"));
		expect(error).to.include({ code: "ER_OPTION_PREVENTS_STATEMENT", errno: 1290 });
		expect(concernsServer(error)).to.equal(false);
	});

	it("is false when the server ends this session, and no other", async () => {
		const connection = await openConnection();
		connection.on("error", () => {});
		const running = rejection(connection.promise().query("select sleep(60)"));
		await ask("kill ?", [idOf(connection)]);
		expect(concernsServer(await running)).to.equal(false);
	});

	for (const [code, message, expected] of [
		["ER_OPTION_PREVENTS_STATEMENT", "The MySQL server is running with the --super-read-only option so it cannot", true],
		["ER_OPTION_PREVENTS_STATEMENT", "The MySQL server is running with the --read-only option so it cannot", true],
		["ER_READ_ONLY_MODE", "Running in read-only mode", true],
		["ER_DUP_ENTRY", "", false],
		["ER_LOCK_DEADLOCK", "", false],
		["PROTOCOL_CONNECTION_LOST", "", false],
	] as const) {
		it(`says ${expected} for ${code} ${message}`, () => {
			expect(concernsServer(Object.assign(new Error(message), { code }))).to.equal(expected);
		});
	}
});
