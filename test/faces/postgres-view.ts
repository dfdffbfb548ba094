import pg from "pg";
import type { ServerView } from "./face.ts";

/** The statements that leave a trace need this table. The key is not unique: a second trace has to be seen, not refused. */
export const TRACES = "create table if not exists traces (key text not null)";

export const postgresView: ServerView = {
	async sessions(url) {
		const rows = await ask<{ pid: number }>(
			url,
			`select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
				and application_name = current_setting('application_name')`,
		);
		return new Set(rows.map(({ pid }) => String(pid)));
	},
	async traces(url, key) {
		const [row] = await ask<{ n: number }>(url, "select count(*)::int as n from traces where key = $1", [key]);
		return row?.n ?? 0;
	},
};

/** Connects anew for every question: a connection kept open would be copied by the next fork. */
export async function ask<Row extends object>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		return (await client.query<Row>(text, values)).rows;
	} finally {
		await client.end();
	}
}
