/** The same statements, through every face that speaks to PostgreSQL. */
export const ECHO = "select $1::text as answer";
export const INSERT = "insert into traces (key) values ($1)";
export const SLEEP = "select pg_sleep($1::float8 / 1000)";
export const BACKEND = "select pg_backend_pid()::text as answer";

/** Knex's placeholders. */
export function forKnex(statement: string): string {
	return statement.replace(/\$\d/g, "?");
}
