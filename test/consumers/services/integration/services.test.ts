/** Services that take a Pool of pg. What is done with each is in test/support/consumer-program.ts. */

import { ask } from "../../../faces/postgres-view.ts";
import { describeConsumers } from "../../../support/consumer-suite.ts";
import { postgresUrl } from "../../../support/server-urls.ts";

const INHERITED = "InheritedConnectionError ERR_FORKSAFE_INHERITED";
const PROCESS_CHANGED = "ProcessChangedError ERR_FORKSAFE_PROCESS_CHANGED";
const asTheyAre = { inFlight: INHERITED, waiting: PROCESS_CHANGED };

before("make the table of connect-pg-simple", async () => {
	await ask(
		postgresUrl("TCP") ?? "",
		"create table if not exists consumer_sessions (sid text primary key, sess json not null, expire timestamp(6) not null)",
	);
});

describeConsumers([
	{ name: "graphile-worker", program: program("graphile-worker"), refused: asTheyAre },
	{
		name: "@fastify/postgres",
		program: program("fastify"),
		refused: {
			open: INHERITED,
			inFlight: "Error 500 ERR_FORKSAFE_INHERITED",
			waiting: "Error 500 ERR_FORKSAFE_PROCESS_CHANGED",
		},
	},
	{ name: "connect-pg-simple", program: program("connect-pg-simple"), refused: asTheyAre },
	{ name: "pg-boss", program: program("pg-boss"), refused: asTheyAre },
	{ name: "attachDatabasePool of @vercel/functions", program: program("vercel"), refused: { open: INHERITED, ...asTheyAre } },
]);

function program(name: string): URL {
	return new URL(`../programs/${name}.ts`, import.meta.url);
}
