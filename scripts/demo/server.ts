import pg from "pg";
import { startEmbeddedServer } from "../../test/support/embedded-server.ts";

/** The server that the demo runs on. */
export interface Server {
	readonly url: string;
	/** "PostgreSQL 18.4 (embedded)" */
	readonly description: string;
	readonly stop: () => Promise<void>;
}

/**
 * The PostgreSQL of `DATABASE_URL` if that is set, else an embedded one; no container, whose image would have to be
 * fetched first.
 *
 * @throws Error when the embedded one does not start, or when the given one cannot be reached
 */
export async function startServer(): Promise<Server> {
	const given = process.env["DATABASE_URL"];
	if (given) return { url: given, description: `${await identify(given)} (DATABASE_URL)`, stop: async () => {} };
	const { url, stop } = await startEmbeddedServer({ maxConnections: 100, tls: false, unixSocket: false });
	return { url, description: `${await identify(url)} (embedded)`, stop };
}

async function identify(url: string): Promise<string> {
	const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
	await client.connect();
	try {
		const { rows } = await client.query<{ server_version: string }>("show server_version");
		return `PostgreSQL ${rows[0]?.server_version}`;
	} finally {
		await client.end();
	}
}
