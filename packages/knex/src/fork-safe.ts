import { AsyncLocalStorage } from "node:async_hooks";
import { checkDuration, defaultPoolOptions, OptionError } from "@forksafe/core";
import {
	isAlive,
	isTransient,
	Client as PgClient,
	type ClientConfig as PgClientConfig,
	Pool as PgPool,
	ping,
	ref,
	ServerWatch,
	unref,
} from "@forksafe/pg";
import knex, { type Knex } from "knex";
import pg from "pg";
import { TimeoutError } from "tarn";
import {
	assertKnexInternals,
	extendsPg,
	type KnexClientClass,
	type KnexClientInternals,
	type KnexConnection,
	type KnexRunnerInternals,
	type KnexTransactionInternals,
	PG_DIALECTS,
	pgDialect,
	usesPgNative,
} from "./knex-internals.ts";
import { leaseStreams } from "./stream-lease.ts";
import { checkFunction, type TarnPoolOptions } from "./tarn-options.ts";
import { TarnPool } from "./tarn-pool.ts";

type ForkSafePoolOptions =
	| "name"
	| "maxPending"
	| "leakThresholdMillis"
	| "validateAfterIdleMillis"
	| "validateTimeoutMillis"
	| "connectHeadStartMillis"
	| "maxConnecting"
	| "keepsMin"
	| "processWatch"
	| "onProcessChange";

declare module "knex" {
	namespace Knex {
		interface PoolConfig extends Pick<TarnPoolOptions<object>, ForkSafePoolOptions> {
			/** Whether the process may exit while connections are idle. @default true */
			allowExitOnIdle?: boolean;
		}
	}
}

/**
 * Makes a class for Knex's `client` option whose pool may be used by the process that created it and by every process
 * forked from it.
 *
 * @param dialect `pg` (or `postgres`, `postgresql`), `cockroachdb`, `redshift`, or a Knex client class that extends one
 * of theirs, from whichever copy of Knex
 * @throws OptionError (ERR_FORKSAFE_OPTION) for a dialect whose driver is not pg
 * @example
 * ```ts
 * const db = knex({ client: forkSafe("cockroachdb"), connection: process.env.DATABASE_URL });
 * ```
 */
export function forkSafe(dialect: string | KnexClientClass): KnexClientClass {
	const Base = baseClass(dialect) as unknown as new (config: Knex.Config) => KnexClientInternals;

	class ForkSafeClient extends Base {
		constructor(config: Knex.Config) {
			const { pool } = config;
			if (pool !== undefined && (typeof pool !== "object" || pool === null || Array.isArray(pool))) {
				throw new OptionError("pool", pool, "must be an object with the options of the pool");
			}
			// Knex takes this for "no pool", and then cannot run a query.
			if (pool?.max === 0) throw new OptionError("max", 0, "must be a whole number, 1 or more");
			super(config);
		}

		override _driver(): object {
			// An instance of pg's own class, not a plain object: withUserParams copies plain objects member by member.
			return Object.create(pg, { Client: { value: PgClient, enumerable: true } });
		}

		override initializePool(config: Knex.Config = this.config): void {
			if (config.connectionPool) checkConnectionPool(config.connectionPool, this);
			if (this.pool !== undefined || config.connectionPool) {
				super.initializePool(config);
				return;
			}
			this.pool = new TarnPool(this.getPoolSettings(config.pool) as unknown as TarnPoolOptions<KnexConnection>);
			this._ownsPool = true;
		}

		override getPoolSettings(pool: Knex.PoolConfig = {}): Record<string, unknown> {
			checkKnexOptions(pool);
			const { allowExitOnIdle = true, ...tarnOptions } = pool;
			const settings = super.getPoolSettings(tarnOptions);
			const create = settings["create"] as (callback: unknown, signal: AbortSignal) => Promise<KnexConnection>;
			const servers = new ServerWatch<KnexConnection>((connection) => {
				(this.pool as TarnPool<KnexConnection> | undefined)?.evict(connection);
			});
			const care: Partial<TarnPoolOptions<KnexConnection>> = {
				createTimeoutMillis: DEFAULT_CREATE_TIMEOUT_MILLIS,
				connectHeadStartMillis: defaultPoolOptions.connectHeadStartMillis,
				maxConnecting: defaultPoolOptions.maxConnecting,
				keepsMin: true,
				ping,
				isTransient: (error, hasConnected) => connectErrors.has(error as object) && isTransient(error, hasConnected),
				...(allowExitOnIdle && { ref, unref }),
			};
			return {
				...care,
				...settings,
				create: async (callback: unknown, signal: AbortSignal) => {
					const connection = await open(() => create(callback, signal), signal);
					servers.watch(connection);
					return connection;
				},
			};
		}

		override async _acquireOnlyConnection(): Promise<KnexConnection> {
			const { createTimeoutMillis = DEFAULT_CREATE_TIMEOUT_MILLIS } = this.config.pool ?? {};
			// Knex passes on what a `connection` function gives, a url too.
			const given: string | PgClientConfig = this.connectionSettings;
			const settings: PgClientConfig = typeof given === "string" ? { connectionString: given } : given;
			const connection: KnexConnection = new this.driver.Client({
				connectionTimeoutMillis: createTimeoutMillis,
				...settings,
				// Knex hides it from loggers, and so from the line above.
				password: settings.password,
				processWatch: (this.pool as TarnPool<KnexConnection> | undefined)?.processWatch,
			});
			connection.on("error", (error) => {
				connection.__knex__disposed = error;
			});
			connection.on("end", () => {
				connection.__knex__disposed ??= "Connection ended unexpectedly";
			});
			const current = opening.getStore();
			if (current !== undefined) {
				// Knex may have waited for a `connection` function, and the process may be another one since.
				(this.pool as TarnPool<KnexConnection> | undefined)?.look();
				current.signal.throwIfAborted();
				current.connection = connection;
			}
			try {
				await connection.connect();
			} catch (error) {
				connectErrors.add(error as object);
				throw error;
			}
			return connection;
		}

		/** What comes back after `destroy()` went with the pool: in a forked child, the parent's connections. */
		override async releaseConnection(connection: KnexConnection): Promise<void> {
			if (this.pool !== undefined) await super.releaseConnection(connection);
		}

		/** Asked before an idle connection is handed out, after Knex's own checks. */
		override async validateConnection(connection: KnexConnection): Promise<boolean> {
			return isAlive(connection) && super.validateConnection(connection);
		}

		override async acquireConnection(): Promise<KnexConnection> {
			try {
				return await super.acquireConnection();
			} catch (error) {
				// Knex does this itself, unless it has another copy of tarn than this package.
				if (!(error instanceof TimeoutError)) throw error;
				const timeout = new knex.KnexTimeoutError("Knex: Timeout acquiring a connection. The pool is probably full.");
				throw Object.assign(timeout, { cause: error });
			}
		}

		/** Knex releases the connection of a stream twice. */
		override runner(builder: unknown): KnexRunnerInternals {
			return leaseStreams(super.runner(builder), (connection) => {
				const { pool } = this;
				if (pool instanceof TarnPool) pool.ignoreRelease(connection);
			});
		}

		override transaction(...args: Parameters<Knex.Client["transaction"]>): Knex.Transaction {
			const { pool } = this;
			const begin = (): Knex.Transaction => super.transaction(...args);
			// Knex acquires later, where the application's call is not on the stack any more.
			const result = pool instanceof TarnPool ? pool.heldByCallerOf(this.transaction, begin) : begin();
			const transaction: KnexTransactionInternals = result;
			const { query } = transaction;
			// Knex resolves `trx.commit()` also when the COMMIT has failed, and tells `trx.executionPromise` only.
			transaction.query = async (connection, sql, status, value) => {
				const answer = await query.call(transaction, connection, sql, status, value);
				if (status === 1) connection.assertOwn?.(); // the application may have brought a connection of its own
				return answer;
			};
			return result;
		}
	}
	return ForkSafeClient as unknown as KnexClientClass;
}

/** For Knex's `client` option, in place of `"pg"`. */
export const ForkSafePostgres: KnexClientClass = forkSafe("pg");

/** A `create` in progress, with the connection that it has opened so far. */
interface Opening {
	readonly signal: AbortSignal;
	connection?: KnexConnection;
}

const opening = new AsyncLocalStorage<Opening>();

/** What a client could not connect for. Whatever else fails in a create is the application's own, and does not pass by itself. */
const connectErrors = new WeakSet<object>();

/** Knex has 30 s. */
const DEFAULT_CREATE_TIMEOUT_MILLIS = 10_000;

/** Closes the connection when the version check, `searchPath` or `afterCreate` fails or takes too long: Knex leaks it. */
async function open(create: () => Promise<KnexConnection>, signal: AbortSignal): Promise<KnexConnection> {
	const current: Opening = { signal };
	const close = (): void => void current.connection?.end().catch(() => {});
	signal.addEventListener("abort", close, { once: true });
	try {
		return await opening.run(current, create);
	} catch (error) {
		close();
		throw error;
	} finally {
		signal.removeEventListener("abort", close);
	}
}

/** What Knex keeps to itself of the pool's options, and uses unchecked. */
function checkKnexOptions(pool: Knex.PoolConfig = {}): void {
	for (const name of ["afterCreate", "validate"] as const) checkFunction(name, pool[name]);
	const { allowExitOnIdle } = pool;
	if (allowExitOnIdle !== undefined && typeof allowExitOnIdle !== "boolean") {
		throw new OptionError("allowExitOnIdle", allowExitOnIdle, "must be true or false");
	}
	for (const name of ["maxConnectionLifetimeMillis", "maxConnectionLifetimeJitterMillis"] as const) {
		if (pool[name] !== undefined) checkDuration(name, pool[name]);
	}
}

/** The connections of another pool would not be guarded. */
function checkConnectionPool(pool: unknown, client: object): void {
	// Knex 3.1 ignores the option.
	if (!("initializeExternalPool" in client)) {
		throw new OptionError("connectionPool", pool, "is not known to this version of Knex: use pool, or Knex 3.3");
	}
	if (!(pool instanceof TarnPool || pool instanceof PgPool)) {
		throw new OptionError("connectionPool", pool, "must be a TarnPool of @forksafe/knex or a Pool of @forksafe/pg");
	}
}

function baseClass(dialect: string | KnexClientClass): KnexClientClass {
	const Base = typeof dialect === "string" ? pgDialect(dialect) : dialect;
	if (typeof Base !== "function" || !extendsPg(Base)) {
		throw new OptionError(
			"dialect",
			dialect,
			`must be one of ${PG_DIALECTS.join(", ")}, or a class that extends one of their clients: other drivers cannot be guarded`,
			!String(dialect).includes("://"), // a url, with a password in it
		);
	}
	if (usesPgNative(Base)) {
		throw new OptionError("dialect", dialect, "uses pg-native, whose sockets cannot be guarded: use pg");
	}
	assertKnexInternals(Base);
	return Base;
}
