/** The six pools under test, each with the default options of its library. */
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import knex, { type Knex } from "knex";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";

/** A library, plain or over forksafe. */
export interface Subject {
	readonly name: string;
	/** Whether the pool is one of forksafe's. */
	readonly isProtected: boolean;
	/** After so long without a free connection an acquire gives up by default; undefined: never. */
	readonly acquireDeadlineMillis: number | undefined;
	open(options: OpenOptions): Opened;
}

export interface OpenOptions {
	readonly url: string;
	/** In place of the library's default. */
	readonly acquireTimeoutMillis?: number;
	/** Of forksafe's only. */
	readonly leakThresholdMillis?: number;
	/** Receives forksafe's log lines. */
	readonly log?: (line: string) => void;
}

/** A pool, as far as the faults are concerned. */
export interface Opened {
	/** Asks the server for the same text again, which takes as long as it is told. */
	ask(text: string, millis: number): Promise<string | undefined>;
	/** Takes a connection out of the pool, and keeps it until the function is called that this gives. */
	hold(): Promise<() => unknown>;
	counts(): Counts;
	end(): Promise<void>;
}

/** What a pool says that it holds. */
export interface Counts {
	readonly used: number;
	readonly idle: number;
	readonly pending: number;
}

/** How many connections each of them may open. */
export const max = 10;

export const subjects: readonly Subject[] = [
	{
		name: "plain pg Pool",
		isProtected: false,
		acquireDeadlineMillis: undefined,
		open: ({ url, acquireTimeoutMillis }) =>
			overPg(listening(new pg.Pool({ connectionString: url, connectionTimeoutMillis: acquireTimeoutMillis }))),
	},
	{
		name: "plain Knex",
		isProtected: false,
		acquireDeadlineMillis: 60_000,
		open: ({ url, acquireTimeoutMillis }) =>
			overKnex(knex({ client: "pg", connection: url, log: silent, ...knexTimeout(acquireTimeoutMillis) })),
	},
	{
		name: "plain Kysely",
		isProtected: false,
		acquireDeadlineMillis: undefined,
		open({ url, acquireTimeoutMillis }) {
			const pool = listening(new pg.Pool({ connectionString: url, connectionTimeoutMillis: acquireTimeoutMillis }));
			return overKysely(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }), pool);
		},
	},
	{
		name: "forksafe pg Pool",
		isProtected: true,
		acquireDeadlineMillis: 30_000,
		open: (options) => overPg(forksafePool(options)),
	},
	{
		name: "forksafe Knex",
		isProtected: true,
		acquireDeadlineMillis: 60_000,
		open({ url, acquireTimeoutMillis, ...pool }) {
			// Knex's types know nothing of forksafe's own pool options.
			const config = { client: ForkSafePostgres, connection: url, log: silent, ...(Object.keys(pool).length > 0 && { pool }) };
			return overKnex(knex({ ...(config as Knex.Config), ...knexTimeout(acquireTimeoutMillis) }));
		},
	},
	{
		name: "forksafe Kysely",
		isProtected: true,
		acquireDeadlineMillis: 30_000,
		open(options) {
			const pool = forksafePool(options);
			return overKysely(new Kysely<unknown>({ dialect: new ForkSafePostgresDialect({ pool }) }), pool);
		},
	},
];

function forksafePool({ url, acquireTimeoutMillis, ...options }: OpenOptions): Pool {
	const timeout = acquireTimeoutMillis === undefined ? {} : { connectionTimeoutMillis: acquireTimeoutMillis };
	return listening(new Pool({ connectionString: url, ...timeout, ...options }));
}

function knexTimeout(millis: number | undefined): { acquireConnectionTimeout?: number } {
	return millis === undefined ? {} : { acquireConnectionTimeout: millis };
}

/** Without a listener, an idle client that loses its connection takes the process with it: pg's documentation asks for one. */
function listening<P extends pg.Pool>(pool: P): P {
	return pool.on("error", () => {});
}

const silent = { warn() {}, error() {} };

function overPg(pool: pg.Pool): Opened {
	return {
		async ask(text, millis) {
			const { rows } = await pool.query<Answer>("select $1::text as answer from pg_sleep($2::float8 / 1000)", [text, millis]);
			return rows[0]?.answer;
		},
		async hold() {
			const client = await pool.connect();
			return () => client.release();
		},
		counts: () => countsOf(pool),
		end: () => pool.end(),
	};
}

function overKnex(db: Knex): Opened {
	return {
		async ask(text, millis) {
			const { rows } = await db.raw<{ rows: Answer[] }>("select ?::text as answer from pg_sleep(?::float8 / 1000)", [
				text,
				millis,
			]);
			return rows[0]?.answer;
		},
		async hold() {
			const connection: unknown = await db.client.acquireConnection();
			return () => db.client.releaseConnection(connection);
		},
		counts: () => {
			const { pool } = db.client;
			return { used: pool.numUsed(), idle: pool.numFree(), pending: pool.numPendingAcquires() };
		},
		end: () => db.destroy(),
	};
}

function overKysely(db: Kysely<unknown>, pool: pg.Pool): Opened {
	return {
		async ask(text, millis) {
			const { rows } = await sql<Answer>`
				select ${text}::text as answer from pg_sleep(${millis}::float8 / 1000)
			`.execute(db);
			return rows[0]?.answer;
		},
		hold: () =>
			new Promise((resolve, reject) => {
				const released = Promise.withResolvers<void>();
				const lend = async (): Promise<void> => {
					resolve(released.resolve);
					await released.promise;
				};
				const work = async (): Promise<void> => {
					await db.connection().execute(lend);
				};
				work().catch(reject);
			}),
		counts: () => countsOf(pool),
		end: () => db.destroy(),
	};
}

function countsOf({ totalCount, idleCount, waitingCount }: pg.Pool): Counts {
	return { used: totalCount - idleCount, idle: idleCount, pending: waitingCount };
}

interface Answer {
	readonly answer: string;
}
