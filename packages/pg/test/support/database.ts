import pg from "pg";
import { postgresUrl, type Transport } from "../../../../test/support/server-urls.ts";
import { untilTrue } from "../../../../test/support/until-true.ts";

/** Where the server of this run is reached. */
export function databaseUrl(transport: Transport = "TCP"): string {
	const url = postgresUrl(transport);
	if (url === undefined) throw new Error(`the tests of @forksafe/pg need a PostgreSQL over ${transport}`);
	return url;
}

/** The same in parts: a connection string would prevail over what stands beside it. */
export function databaseParts(): Pick<pg.ClientConfig, "connectionString" | "host" | "port" | "user" | "database"> & {
	password: string;
} {
	const { hostname, port, username, password, pathname } = new URL(databaseUrl());
	const [user, secret] = [username, password].map(decodeURIComponent) as [string, string];
	return { connectionString: undefined, host: hostname, port: Number(port), user, password: secret, database: pathname.slice(1) };
}

/** Asks the server itself, by a connection of pg's own that is opened for this question. */
export async function ask<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
	const client = new pg.Client({ connectionString: databaseUrl() });
	await client.connect();
	try {
		return (await client.query<Row>(text, values)).rows;
	} finally {
		await client.end();
	}
}

/** The backend pids of the sessions that the server has under this name. */
export async function sessionsNamed(applicationName: string): Promise<number[]> {
	const rows = await ask<{ pid: number }>("select pid from pg_stat_activity where application_name = $1", [applicationName]);
	return rows.map(({ pid }) => pid);
}

/** The server learns late that a socket was closed. */
export async function untilSessions(applicationName: string, count: number): Promise<void> {
	await untilTrue(async () => (await sessionsNamed(applicationName)).length === count, {
		what: `the server has ${count} sessions named ${applicationName}`,
	});
}

/** Ends a session as an administrator does: its client is told 57P01, and the socket is closed. */
export async function terminate(pid: number | undefined): Promise<void> {
	const [row] = await ask<{ done: boolean }>("select pg_terminate_backend($1, 5000) as done", [pid]);
	if (row?.done !== true) throw new Error(`the session ${pid} could not be ended`);
}
