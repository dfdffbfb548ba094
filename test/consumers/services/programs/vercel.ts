/** A Pool that `attachDatabasePool` of Vercel watches: the function stays awake until its clients are idle for too long. */
import { attachDatabasePool } from "@vercel/functions";
import { expect } from "chai";
import type pg from "pg";
import { runConsumer } from "../../../support/consumer-program.ts";
import { sqlWork } from "../support/sql-work.ts";

// What is there while a request is served on Vercel.
Object.assign(process.env, { VERCEL_URL: "consumer.example", VERCEL_REGION: "here" });
const extensions: Promise<unknown>[] = [];
Object.assign(globalThis, {
	[Symbol.for("@vercel/request-context")]: {
		get: () => ({ waitUntil: (extension: Promise<unknown>) => extensions.push(extension) }),
	},
});

await runConsumer({
	open({ openPool, Pool, options }) {
		const pool = openPool();
		attachDatabasePool(pool);
		return {
			...sqlWork(pool),
			pool,
			transaction: (body) => transact(pool, (client) => body(sqlWork(client))),
			async end() {
				const before = extensions.length;
				await pool.query("select 1");
				expect(extensions, "one extension for each release").to.have.lengthOf(before + 1);
				await pool.end();

				const brief = new Pool({ ...options, idleTimeoutMillis: 100 });
				attachDatabasePool(brief);
				await brief.query("select 1");
				const start = performance.now();
				await extensions.at(-1);
				expect(performance.now() - start, "milliseconds from the release")
					.to.be.greaterThan(190)
					.and.lessThan(2_000);
				await brief.end();
			},
		};
	},
});

async function transact(pool: pg.Pool, body: (client: pg.PoolClient) => Promise<void>): Promise<void> {
	const client = await pool.connect();
	try {
		await client.query("begin");
		await body(client);
		await client.query("commit");
	} catch (error) {
		await client.query("rollback").catch(() => {});
		throw error;
	} finally {
		client.release();
	}
}
