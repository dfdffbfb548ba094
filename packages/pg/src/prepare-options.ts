import { OptionError, rejectUnknownOptions } from "@forksafe/core";

/** What is prepared, and how much of it. */
export interface PrepareOptions {
	/**
	 * So many statements a connection has, at most; for one more, the one that was not used for longest is closed. The default is
	 * that of psycopg, asyncpg and sqlx: each one takes memory on the server, in every session. @default 100
	 */
	max?: number | undefined;
	/**
	 * At its so-manieth use on a connection a text is prepared: until then it may be one of those that never come again, with its
	 * values in it. The default is that of pgjdbc, psycopg and Npgsql. 1: at once. @default 5
	 */
	minUses?: number | undefined;
}

/** Options with their defaults. */
export type ResolvedPrepareOptions = { readonly [Name in keyof PrepareOptions]-?: number };

const DEFAULTS: ResolvedPrepareOptions = { max: 100, minUses: 5 };

/** How a client is configured, as far as statements go. */
interface Config {
	readonly prepare?: unknown;
	readonly replication?: unknown;
}

/**
 * @returns undefined where nothing is to be prepared
 * @throws OptionError (ERR_FORKSAFE_OPTION) for what is neither a boolean nor {@link PrepareOptions}, and beside `replication`,
 * whose sessions know no statements
 */
export function prepareOptions({ prepare, replication }: Config): ResolvedPrepareOptions | undefined {
	if (prepare === undefined || prepare === null || prepare === false) return undefined;
	if (prepare !== true && (typeof prepare !== "object" || Array.isArray(prepare))) {
		throw new OptionError("prepare", prepare, "must be true, false or an object with max and minUses");
	}
	if (replication !== undefined && replication !== null && replication !== false) {
		throw new OptionError("prepare", prepare, "must not stand beside replication: such a session has no prepared statements");
	}
	const given: PrepareOptions = prepare === true ? {} : prepare;
	rejectUnknownOptions(given, Object.keys(DEFAULTS));
	const { max = DEFAULTS.max, minUses = DEFAULTS.minUses } = given;
	for (const [name, value] of Object.entries({ max, minUses })) {
		if (!Number.isSafeInteger(value) || value < 1) {
			throw new OptionError(`prepare.${name}`, value, "must be a whole number, 1 or more");
		}
	}
	return { max, minUses };
}

/** @throws OptionError (ERR_FORKSAFE_OPTION) for `prepare` behind a transaction pooler: which server has the statement? */
export function refuseToPrepare(prepare: unknown): void {
	if (prepare === undefined || prepare === null || prepare === false) return;
	throw new OptionError(
		"prepare",
		prepare,
		"is for a session, which a transaction pooler does not have: leave it out. Behind PgBouncer 1.21 or later with " +
			'max_prepared_statements, leave the preset out instead, and give what it sets: presetDefaults("transaction-pooler")',
	);
}
