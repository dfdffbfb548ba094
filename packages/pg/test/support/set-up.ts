import { randomUUID } from "node:crypto";
import { afterThisTest } from "../../../../test/support/after-this-test.ts";
import { Client, type ClientConfig, Pool, type PoolConfig } from "../../src/index.ts";
import { databaseUrl } from "./database.ts";

export { afterThisTest };

/** Names the sessions of one test for the server. */
export function uniqueName(): string {
	return `forksafe-${randomUUID()}`;
}

/** A pool over the server of this run. It is closed after the test, clients in use included. */
export function openPool(config: PoolConfig = {}): Pool {
	const pool = new Pool({ connectionString: databaseUrl(), ...config });
	afterThisTest(() => pool["core"].close());
	return pool;
}

/** A connected client without a pool. Its socket is closed after the test. */
export async function openClient(config: ClientConfig = {}): Promise<Client> {
	const client = new Client({ connectionString: databaseUrl(), ...config });
	afterThisTest(async () => {
		client.on("error", () => {}); // of a session whose socket is closed without a goodbye
		client.connection.stream.destroy();
	});
	await client.connect();
	return client;
}
