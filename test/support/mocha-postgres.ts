import { describeServer, type PostgresServer, startPostgres } from "./postgres.ts";

let server: PostgresServer | undefined;

/** Root hooks: one PostgreSQL for the whole run, told to the programs that tests start by environment variables. */
export const mochaHooks = {
	async beforeAll(): Promise<void> {
		server = await startPostgres();
		console.log(describeServer(server));
		hand("FORKSAFE_TEST_SOURCE", server.source);
		hand("DATABASE_URL", server.url);
		hand("FORKSAFE_TEST_UNIX_URL", server.unixSocketUrl);
		hand("FORKSAFE_TEST_TLS_URL", server.tlsUrl);
	},
	async afterAll(): Promise<void> {
		await server?.stop();
	},
};

function hand(variable: string, value: string | undefined): void {
	if (value === undefined) delete process.env[variable];
	else process.env[variable] = value;
}
