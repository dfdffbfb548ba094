/** Which of Knex's dialects can be guarded, and why the others cannot. */
import { OptionError } from "@forksafe/core";
import type { DialectSupport } from "./dialect-support.ts";
import { assertKnexInternals, DIALECTS, dialectClass, driverOf, type KnexClientClass, usesPgNative } from "./knex-internals.ts";
import { mysqlSupport } from "./mysql-support.ts";
import { postgresSupport } from "./postgres-support.ts";

/** @throws OptionError (ERR_FORKSAFE_OPTION) saying why a dialect cannot be guarded, and what to do */
export function supported(dialect: string | KnexClientClass): { Client: KnexClientClass; support: DialectSupport } {
	const Client = typeof dialect === "string" ? dialectClass(dialect) : dialect;
	const driver = typeof Client === "function" ? driverOf(Client) : undefined;
	if (typeof Client !== "function" || driver === undefined) {
		throw new OptionError("dialect", dialect, refusal(dialect), !String(dialect).includes("://")); // a url, with a password in it
	}
	if (usesPgNative(Client)) throw new OptionError("dialect", dialect, REFUSALS["pgnative"] as string);
	assertKnexInternals(Client);
	return { Client, support: (driver === "pg" ? postgresSupport : mysqlSupport) as unknown as DialectSupport };
}

const OPEN_FILE =
	"has no connection to forget, but an open file, which must not be carried over a fork: create the Knex after it";
/** Why it cannot be guarded, and what to do. */
const REFUSALS: Readonly<Record<string, string>> = {
	pgnative: "uses pg-native, whose sockets cannot be guarded: use pg",
	mysql: "uses a driver that is not maintained any more: use mysql2",
	mariadb: "uses a driver that keeps its sockets to itself: use mysql2, which speaks to MariaDB too",
	mssql: "uses tedious, which ends a connection by telling the server: create the Knex after the fork",
	oracledb: "uses a driver that keeps its sockets to itself: create the Knex after the fork",
	"better-sqlite3": OPEN_FILE,
	sqlite: OPEN_FILE,
	sqlite3: OPEN_FILE,
};

function refusal(dialect: unknown): string {
	const name = typeof dialect === "function" ? (dialect.prototype as { driverName?: unknown } | undefined)?.driverName : dialect;
	const known = typeof name === "string" && Object.hasOwn(REFUSALS, name) ? REFUSALS[name] : undefined;
	return (
		known ??
		`must be one of ${DIALECTS.join(", ")}, or a class that extends one of their clients: other drivers cannot be guarded`
	);
}
