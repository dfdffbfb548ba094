/** The same statements, through every face that speaks to PostgreSQL. */
import { SESSION_MARK } from "../support/session-names.ts";

export const ECHO = "select $1::text as answer";
export const INSERT = "insert into traces (key) values ($1)";
export const SLEEP = "select pg_sleep($1::float8 / 1000)";
/** The name of the session where it has one (support/session-names.ts), else its pid. */
export const BACKEND = `select coalesce(nullif(split_part(current_setting('application_name'), '${SESSION_MARK}', 2), ''), pg_backend_pid()::text)
	as answer`;

/** Knex's placeholders. */
export function forKnex(statement: string): string {
	return statement.replace(/\$\d/g, "?");
}
