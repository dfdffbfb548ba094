import type { Knex } from "knex";
import { type Answer, type Application, postings } from "./application.ts";

/** The application, in Knex. */
export function knexApplication(db: Knex, schema: string): Application {
	return {
		async read(question, millis) {
			const { rows } = await db.raw<{ rows: Answer[] }>(
				"select ?::text as answer, pg_backend_pid() as backend from pg_sleep(?::float8 / 1000)",
				[question, millis],
			);
			return rows[0];
		},

		transfer: (transfer) =>
			db.transaction(async (transaction) => {
				const { id, from, to, amount } = transfer;
				const [answer] = await transaction
					.withSchema(schema)
					.into("transfers")
					.insert({ id, from_account: from, to_account: to, amount })
					.returning<Answer[]>(["id as answer", "backend"]);
				for (const { account, change } of postings(transfer)) {
					await transaction.withSchema(schema).from("accounts").where({ id: account }).increment("balance", change);
				}
				return answer;
			}),

		end: () => db.destroy(),
	};
}
