/** pg-boss over a Pool, as `executeSql`: jobs that one process sends are worked on by whichever of them comes first, once. */
import { PgBoss } from "pg-boss";
import { runConsumer } from "../../../support/consumer-program.ts";
import { untilTrue } from "../../../support/until-true.ts";
import { ownSchema } from "../support/own-schema.ts";
import { sqlWork } from "../support/sql-work.ts";

interface Job {
	readonly id: string;
	readonly data: { readonly key: string };
}

await runConsumer({
	async open({ openPool, options }) {
		const schema = ownSchema(options);
		const pool = openPool();
		const boss = new PgBoss({
			db: { executeSql: (text, values) => pool.query(text, values) },
			schema: schema.name,
			supervise: false,
			schedule: false,
		});
		boss.on("error", () => {});
		await boss.start();
		const { echo, insert: leave, has, backend, sleep } = sqlWork(pool);
		const workOn = async (jobs: readonly Job[]): Promise<void> => {
			for (const { data } of jobs) await leave(data.key);
		};
		for (const queue of ["worked", "fetched"]) await boss.createQueue(queue);
		// It asks for jobs when it is told to, for several, as two calls can be one to it. While all connections are in use, nobody
		// is to wait for one but whom the test knows of.
		const worker = await boss.work<Job["data"]>("worked", { pollingIntervalSeconds: 5, batchSize: 5 }, workOn);

		/** Takes one job, perhaps another than was sent. */
		const fetchOne = async (): Promise<void> => {
			const jobs = await boss.fetch<Job["data"]>("fetched");
			await workOn(jobs);
			for (const { id } of jobs) await boss.complete("fetched", id);
		};
		let sent = 0;
		return {
			pool,
			echo,
			has,
			backend,
			sleep,
			async insert(key) {
				const isFetched = sent++ % 3 > 0;
				await boss.send(isFetched ? "fetched" : "worked", { key });
				if (isFetched) await fetchOne();
				else boss.notifyWorker(worker);
				await untilTrue(() => has(key), { what: "the job was worked on", deadlineMillis: 15_000 });
			},
			async end() {
				await boss.stop({ graceful: true });
				await pool.end();
				await schema.drop();
			},
		};
	},
});
