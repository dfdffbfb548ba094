import type { Pool } from "pg";
import { type Answer, type Application, postings } from "./application.ts";

/** The application, in plain SQL through pg. */
export function pgApplication(pool: Pool, schema: string): Application {
	return {
		async read(question, millis) {
			const { rows } = await pool.query<Answer>(
				"select $1::text as answer, pg_backend_pid() as backend from pg_sleep($2::float8 / 1000)",
				[question, millis],
			);
			return rows[0];
		},

		async transfer(transfer) {
			const client = await pool.connect();
			try {
				await client.query("begin");
				const { rows } = await client.query<Answer>(
					`insert into ${schema}.transfers (id, from_account, to_account, amount) values ($1, $2, $3, $4)
						returning id as answer, backend`,
					[transfer.id, transfer.from, transfer.to, transfer.amount],
				);
				for (const { account, change } of postings(transfer)) {
					await client.query(`update ${schema}.accounts set balance = balance + $1 where id = $2`, [change, account]);
				}
				await client.query("commit");
				return rows[0];
			} catch (error) {
				await client.query("rollback").catch(() => {});
				throw error;
			} finally {
				client.release();
			}
		},

		end: () => pool.end(),
	};
}
