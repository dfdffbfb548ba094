import { randomUUID } from "node:crypto";
import { type ConnectionOptions, createConnection, type Connection as MysqlConnection } from "mysql2";
import { afterThisTest } from "../../../../test/support/after-this-test.ts";
import { askMariadb } from "../../../../test/support/mariadb.ts";
import { mariadbUrl, type Transport } from "../../../../test/support/server-urls.ts";
import { untilTrue } from "../../../../test/support/until-true.ts";
import { type Guarded, type GuardOptions, guard } from "../../src/index.ts";
import type { MysqlConnectionInternals } from "../../src/mysql-internals.ts";

export { forkUnnoticed } from "../../../../test/support/pretend-fork.ts";
export { afterThisTest };

export type GuardedConnection = MysqlConnection & Guarded;

/** What nobody else on the server has. */
export function uniqueName(): string {
	return `forksafe-${randomUUID()}`;
}

/** The server of this run in mysql2's own options. */
export function server(transport: Transport = "TCP"): ConnectionOptions {
	return { uri: mariadbUrl(transport) };
}

/** One statement on a connection of its own, which is not ours. */
export function ask<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
	return askMariadb<Row>(mariadbUrl("TCP"), sql, values);
}

/** A guarded connection that is on its way. Its socket is closed after the test. */
export function startConnection(options: ConnectionOptions = {}, guardOptions?: GuardOptions): GuardedConnection {
	const connection = guard(createConnection({ ...server(), ...options }), guardOptions);
	afterThisTest(async () => {
		connection.on("error", () => {}); // of a session whose socket is closed without a goodbye
		inside(connection).stream.destroy();
	});
	return connection;
}

/** A guarded connection that has connected. Its socket is closed after the test. */
export async function openConnection(options?: ConnectionOptions, guardOptions?: GuardOptions): Promise<GuardedConnection> {
	const connection = startConnection(options, guardOptions);
	await connected(connection);
	return connection;
}

export function connected(connection: MysqlConnection): Promise<void> {
	return new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
}

/** mysql2's own parts of a connection. */
export function inside(connection: MysqlConnection): MysqlConnectionInternals {
	return connection as unknown as MysqlConnectionInternals;
}

/** So are its sessions named on the server: `connection_id()`. Asked for in time, for `threadId` is null later. */
export function idOf(connection: MysqlConnection): number {
	const { threadId } = inside(connection);
	if (threadId === null) throw new Error("the connection has no thread id");
	return threadId;
}

export async function isOnServer(id: number): Promise<boolean> {
	return (await ask("select id from information_schema.processlist where id = ?", [id])).length === 1;
}

export function untilGone(id: number): Promise<void> {
	return untilTrue(async () => !(await isOnServer(id)), { what: `the session ${id} has gone` });
}

/** The server is at this query of the session. */
export function untilRuns(id: number, sql: string): Promise<void> {
	const runs = async (): Promise<boolean> =>
		(await ask("select id from information_schema.processlist where id = ? and info like ?", [id, `${sql}%`])).length === 1;
	return untilTrue(runs, { what: `the session ${id} runs ${sql}` });
}

export function untilClosed(connection: MysqlConnection): Promise<void> {
	return untilTrue(() => inside(connection).stream.closed, { what: "the socket has closed" });
}

/** A table for the running test. */
export async function createTable(columns: string): Promise<string> {
	const name = uniqueName();
	await ask(`create table \`${name}\` (${columns})`);
	afterThisTest(() => ask(`drop table \`${name}\``));
	return `\`${name}\``;
}

/** A user for the running test, and a url with it. */
export async function createUser(limits = "", grants = "select, insert, create, drop"): Promise<ConnectionOptions> {
	const user = `u${randomUUID().replaceAll("-", "")}`;
	await ask(`create user ${user}@'%' identified by 'secret' ${limits}`);
	afterThisTest(() => ask(`drop user ${user}@'%'`));
	await ask(`grant ${grants} on *.* to ${user}@'%'`);
	const { hostname, port, pathname } = new URL(mariadbUrl("TCP"));
	// A uri would prevail over what stands beside it.
	return { uri: "", host: hostname, port: Number(port), database: pathname.slice(1), user, password: "secret" };
}
