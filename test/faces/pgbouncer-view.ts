import { SESSION_MARK } from "../support/session-names.ts";
import type { ServerView } from "./face.ts";
import { ask, postgresView } from "./postgres-view.ts";

/** What PgBouncer knows of its own sessions, which are what a pool holds; the names are those of session-names.ts. */
export const pgBouncerView: ServerView = {
	async sessions(url) {
		const own = `${new URL(url).searchParams.get("application_name")}${SESSION_MARK}`;
		const clients = await ask<{ application_name: string }>(consoleUrl(url), "SHOW CLIENTS");
		const names = clients.map((client) => client.application_name).filter((name) => name.startsWith(own));
		return new Set(names.map((name) => name.slice(own.length)));
	},
	traces: postgresView.traces,
};

/** Of the admin console, a database that knows no SQL. */
export function consoleUrl(url: string): string {
	const console = new URL(url);
	console.pathname = "/pgbouncer";
	return console.href;
}
