import type { ClientBase, QueryConfig } from "pg";

/** Asks in a way in which nothing is prepared. */
export async function askUnprepared<Row extends object>(client: ClientBase, text: string): Promise<Row[]> {
	const query = { text, queryMode: "extended" }; // an option that the types of pg do not have
	return (await client.query<Row>(query as QueryConfig)).rows;
}

/** What the server has prepared for a session, the oldest first. */
export function preparedOn(client: ClientBase): Promise<{ name: string; statement: string }[]> {
	return askUnprepared(client, "select name, statement from pg_prepared_statements order by prepare_time, name");
}

/** Their texts. */
export async function textsOn(client: ClientBase): Promise<string[]> {
	return (await preparedOn(client)).map(({ statement }) => statement);
}

/** Asks one after the other. */
export async function repeat<T>(times: number, ask: (time: number) => Promise<T>): Promise<T[]> {
	const answers: T[] = [];
	for (let time = 0; time < times; time++) answers.push(await ask(time));
	return answers;
}
