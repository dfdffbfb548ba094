import { ask, TRACES } from "../faces/postgres-view.ts";
import { describeServer, type PostgresServer, startPostgres } from "./postgres.ts";
import { offerPostgres } from "./server-urls.ts";

let server: PostgresServer | undefined;

/** Root hooks: one PostgreSQL for the whole run, told by environment variables (server-urls.ts). */
export const mochaHooks = {
	async beforeAll(this: Mocha.Context): Promise<void> {
		this.timeout(60_000); // on a busy machine
		server = await startPostgres();
		console.log(describeServer(server));
		await ask(server.url, TRACES);
		offerPostgres(server);
	},
	async afterAll(): Promise<void> {
		await server?.stop();
	},
};
