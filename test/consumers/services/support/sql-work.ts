import type { Work } from "../../../support/consumer.ts";
import { WRITTEN } from "../../../support/consumer.ts";

/** A pool of pg, a client, or what a library gives in their place. */
interface Asked {
	query(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

/** By SQL, for libraries that leave it to the application. */
export function sqlWork(asked: Asked): Work & { backend(): Promise<number>; sleep(millis: number): Promise<void> } {
	const first = async (text: string, values: unknown[]): Promise<unknown> =>
		(await asked.query(text, values)).rows[0]?.["answer"];
	return {
		echo: async (text) => String(await first("select $1::text as answer", [text])),
		insert: async (key) => void (await asked.query("insert into consumer_traces (key) values ($1)", [key])),
		has: async (key) => (await asked.query(WRITTEN, [key])).rows.length > 0,
		backend: async () => Number(await first("select pg_backend_pid() as answer", [])),
		sleep: async (millis) => void (await asked.query("select pg_sleep($1)", [millis / 1000])),
	};
}
