import { type MariadbServer, startMariadb } from "./mariadb.ts";
import { offerMariadb } from "./server-urls.ts";

/** It starts while PostgreSQL does (mocha-servers.ts). */
const starting = startMariadb();
starting.catch(() => {}); // awaited below
let server: MariadbServer | undefined;

/** Root hooks: one MariaDB for the whole run, for the packages whose tests need it. */
export const mochaHooks = {
	async beforeAll(this: Mocha.Context): Promise<void> {
		this.timeout(300_000); // it may have to be installed
		server = await starting;
		console.log(`MariaDB ${server.version}: TCP, unix socket, TLS`);
		offerMariadb(server.urls);
	},
	async afterAll(): Promise<void> {
		await server?.stop();
	},
};
