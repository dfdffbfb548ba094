import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { destroyAll, newName, open, poolOf, serverUrl, sessions } from "./support/database.ts";

describe("a connection", () => {
	afterEach(destroyAll);

	it("is opened where ForkSafePostgres is given a url and nothing else is said", async () => {
		const { db } = open({ connection: serverUrl().href });
		expect(await db.select(db.raw("1 as n"))).to.deep.equal([{ n: 1 }]);
	});
});

describe("a connect that fails", () => {
	afterEach(destroyAll);
	afterEach(async () => {
		await Promise.all(servers.splice(0).map((server) => server.stop()));
	});

	/** The driver's error, that of plain Knex too: its code, its class, and what it is made of. */
	async function failure(connection: Knex.PgConnectionConfig, plainConnection = connection): Promise<Error & { code?: string }> {
		const { db } = open({ connection, pool: { min: 0 } });
		const error = await rejection(db.raw("select 1"));
		const plain = knex({ client: "pg", connection: plainConnection, pool: { min: 0 }, log: { warn() {} } });
		const expected = await rejection(plain.raw("select 1"));
		await plain.destroy();
		expect(error).to.be.instanceOf((expected as Error).constructor);
		expect({ ...(error as object), message: (error as Error).message }).to.deep.equal({
			...(expected as object),
			message: (expected as Error).message,
		});
		expect(poolOf(db).numPendingCreates() + poolOf(db).numUsed() + poolOf(db).numFree()).to.equal(0);
		return error as Error;
	}

	it("rejects with 3D000 at once when there is no such database, and leaves nothing open", async () => {
		const connection = { ...settings(newName()), database: "no_such_database" };
		expect(await failure(connection)).to.include({ code: "3D000" });
		await untilTrue(async () => (await sessions(connection.application_name)) === 0, { what: "nothing is left open" });
	});

	it("rejects with ECONNREFUSED at once when there is no server", async () => {
		expect(await failure({ ...settings(newName()), port: await freePort() })).to.include({ code: "ECONNREFUSED" });
	});

	it("rejects with 28P01 at once when the password is wrong, and closes the socket", async () => {
		const proxy = await startProxy();
		const connection = { ...settings(newName()), password: "horse" };
		const error = await failure({ ...connection, port: proxy.port, host: "127.0.0.1" }, connection);
		expect(error).to.include({ code: "28P01" });
		expect(error.stack).not.to.include("horse");
		expect(proxy.accepted).to.equal(1);
		await untilTrue(() => proxy.open.size === 0, { what: "the sockets are closed" });
	});

	it("gives a server that never answers up after createTimeoutMillis, and closes the socket", async () => {
		const silent = await startServer(() => {});
		const connection = { ...settings(newName()), host: "127.0.0.1", port: silent.port };
		const { db } = open({ connection, pool: { min: 0, createTimeoutMillis: 100, acquireTimeoutMillis: 60_000 } });
		const error = await rejection(db.raw("select 1"));
		expect(error).to.be.instanceOf(Error);
		expect(silent.accepted).to.equal(1);
		await untilTrue(() => silent.open.size === 0, { what: "the socket is closed" });
		expect(poolOf(db).numPendingCreates()).to.equal(0);
	});

	it("leaves the pool usable when the server is back", async () => {
		const good = settings(newName());
		let port = await freePort();
		const settingsOfNow = (): Knex.PgConnectionConfig & { expirationChecker(): boolean } => {
			const given = port;
			return { ...good, port: given, expirationChecker: () => given !== port };
		};
		const { db } = open({ connection: settingsOfNow, pool: { min: 0, max: 1 } });
		expect(await rejection(db.raw("select 1"))).to.include({ code: "ECONNREFUSED" });
		port = good.port;
		expect((await db.raw("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
	});
});

function settings(name: string): {
	host: string;
	port: number;
	user: string;
	password: string;
	database: string;
	application_name: string;
} {
	const { hostname, port, username, password, pathname } = serverUrl();
	return {
		host: hostname,
		port: Number(port),
		user: decodeURIComponent(username),
		password: decodeURIComponent(password),
		database: pathname.slice(1),
		application_name: name,
	};
}

interface TestServer {
	readonly port: number;
	accepted: number;
	readonly open: Set<Socket>;
	stop(): Promise<void>;
}

const servers: TestServer[] = [];

async function startServer(onConnection: (socket: Socket) => void): Promise<TestServer> {
	const listener: Server = createServer((socket) => {
		server.accepted++;
		server.open.add(socket);
		socket.on("error", () => {});
		socket.once("close", () => server.open.delete(socket));
		socket.resume();
		onConnection(socket);
	});
	listener.listen(0, "127.0.0.1");
	await once(listener, "listening");
	const server: TestServer = {
		port: (listener.address() as AddressInfo).port,
		accepted: 0,
		open: new Set(),
		async stop() {
			for (const socket of server.open) socket.destroy();
			listener.close();
			await once(listener, "close");
		},
	};
	servers.push(server);
	return server;
}

/** PostgreSQL, but for the end of a session: that is left to whoever has connected. */
async function startProxy(): Promise<TestServer> {
	const { hostname, port } = serverUrl();
	return startServer((socket) => {
		const upstream = connect(Number(port), hostname);
		upstream.on("error", () => {});
		socket.pipe(upstream);
		upstream.pipe(socket, { end: false });
		upstream.on("close", () => socket.resume()); // to read the end of it
	});
}

async function freePort(): Promise<number> {
	const { port, stop } = await startServer(() => {});
	servers.pop();
	await stop();
	return port;
}
