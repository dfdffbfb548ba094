import { type Generated, type Kysely, sql } from "kysely";
import { type Answer, type Application, postings } from "./application.ts";

/** The application's tables, as Kysely is told of them. */
export interface Tables {
	readonly accounts: { readonly id: number; readonly balance: number };
	readonly transfers: {
		readonly id: string;
		readonly from_account: number;
		readonly to_account: number;
		readonly amount: number;
		readonly backend: Generated<number>;
	};
}

/** The application, in Kysely. */
export function kyselyApplication(db: Kysely<Tables>, schema: string): Application {
	const bank = db.withSchema(schema);
	return {
		async read(question, millis) {
			const { rows } = await sql<Answer>`
				select ${question}::text as answer, pg_backend_pid() as backend from pg_sleep(${millis}::float8 / 1000)
			`.execute(db);
			return rows[0];
		},

		transfer: (transfer) =>
			bank.transaction().execute(async (transaction) => {
				const { id, from, to, amount } = transfer;
				const answer = await transaction
					.insertInto("transfers")
					.values({ id, from_account: from, to_account: to, amount })
					.returning(["id as answer", "backend"])
					.executeTakeFirst();
				for (const { account, change } of postings(transfer)) {
					await transaction
						.updateTable("accounts")
						.set(({ eb }) => ({ balance: eb("balance", "+", change) }))
						.where("id", "=", account)
						.execute();
				}
				return answer;
			}),

		end: () => db.destroy(),
	};
}
