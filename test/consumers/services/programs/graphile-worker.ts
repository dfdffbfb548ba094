/** A runner of graphile-worker: jobs that one process adds are run by whichever of them comes first, once. */
import { EventEmitter, once } from "node:events";
import { Logger, makeWorkerUtils, run, type WorkerEvents } from "graphile-worker";
import pg from "pg";
import { runConsumer } from "../../../support/consumer-program.ts";
import { untilTrue } from "../../../support/until-true.ts";
import { ownSchema } from "../support/own-schema.ts";
import { sqlWork } from "../support/sql-work.ts";

await runConsumer({
	async open({ Pool, options }) {
		await alone(options.connectionString);
		const schema = ownSchema(options);
		// One more: the runner holds a client, which listens for new jobs.
		const pgPool = new Pool({ ...options, max: options.max + 1 }).on("error", () => {});
		// As its manual asks for.
		pgPool.on("connect", (client) => client.on("error", () => {}));
		const events: WorkerEvents = new EventEmitter();
		const listens = once(events, "pool:listen:success");
		const shared = { pgPool, schema: schema.name, events, logger: new Logger(() => () => {}) };
		const utils = await makeWorkerUtils(shared);
		await utils.migrate();
		const runner = await run({
			...shared,
			concurrency: 2,
			// It hears of new jobs. While all connections are in use, nobody is to wait for one but whom the test knows of.
			pollInterval: 5_000,
			noHandleSignals: true,
			taskList: {
				trace: async (payload, { withPgClient }) => {
					const { key } = payload as { key: string };
					await withPgClient((client) => sqlWork(client).insert(key));
				},
			},
		});
		await listens;
		await untilTrue(() => pgPool.totalCount - pgPool.idleCount === 1, {
			what: "the runner does nothing but listen",
			deadlineMillis: 15_000,
		});
		const { echo, has, backend, sleep } = sqlWork({
			query: (text, values) => utils.withPgClient((client) => client.query(text, values)),
		});
		return {
			pool: pgPool,
			echo,
			has,
			backend,
			sleep,
			async insert(key) {
				await utils.addJob("trace", { key });
				await untilTrue(() => has(key), { what: "the job was run", deadlineMillis: 15_000 });
			},
			async end() {
				await runner.stop();
				await utils.release();
				await pgPool.end();
				await schema.drop();
			},
		};
	},
});

/** Runners of all schemas of a database hear of each other's jobs, and stop at each other's migrations: one program at a time. */
async function alone(connectionString: string): Promise<void> {
	const client = new pg.Client({ connectionString });
	await client.connect();
	await client.query("select pg_advisory_lock(hashtext('graphile-worker'))");
}
