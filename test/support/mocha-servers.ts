import { ask, TRACES } from "../faces/postgres-view.ts";
import { type LineServer, startLineServer } from "./line-server.ts";
import { describeServer, type PostgresServer, startPostgres } from "./postgres.ts";
import { offer } from "./server-urls.ts";

let postgres: PostgresServer | undefined;
let lines: LineServer | undefined;

/** Root hooks: one PostgreSQL and one server of lines for the whole run, told by environment variables (server-urls.ts). */
export const mochaHooks = {
	async beforeAll(): Promise<void> {
		postgres = await startPostgres();
		console.log(describeServer(postgres));
		await ask(postgres.url, TRACES);
		lines = await startLineServer();
		offer("postgres", postgres);
		offer("lines", lines);
		process.env["FORKSAFE_TEST_SOURCE"] = postgres.source;
	},
	async afterAll(): Promise<void> {
		await lines?.stop();
		await postgres?.stop();
	},
};
