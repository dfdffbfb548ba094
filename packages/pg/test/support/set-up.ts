import { randomUUID } from "node:crypto";
import { Client, type ClientConfig, Pool, type PoolConfig } from "../../src/index.ts";
import { databaseUrl } from "./database.ts";

const leftovers: (() => Promise<unknown>)[] = [];

/** To be done when the running test has ended, however it ends; what was asked for last comes first. */
export function afterThisTest(cleanUp: () => Promise<unknown>): void {
	leftovers.push(cleanUp);
}

afterEach(async () => {
	for (let cleanUp = leftovers.pop(); cleanUp !== undefined; cleanUp = leftovers.pop()) await cleanUp();
});

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
