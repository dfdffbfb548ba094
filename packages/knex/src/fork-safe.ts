import { checkDuration, defaultPoolOptions, OptionError } from "@forksafe/core";
import type { PrepareOptions, Preset } from "@forksafe/pg";
import type { Knex } from "knex";
import { explained, isKnex31 } from "./acquire-time-out.ts";
import type { DialectSupport, KnexClientConstructor } from "./dialect-support.ts";
import { supported } from "./dialects.ts";
import type { KnexClientClass, KnexConnection, KnexRunnerInternals, KnexTransactionInternals } from "./knex-internals.ts";
import { isConnectError, open } from "./opening.ts";
import { leasedStream } from "./stream-lease.ts";
import { checkFunction, DEFAULT_CREATE_TIMEOUT_MILLIS, type TarnPoolOptions } from "./tarn-options.ts";
import { TarnPool } from "./tarn-pool.ts";

type Validate = (connection: KnexConnection) => boolean | Promise<boolean>;

type ForkSafePoolOptions =
	| "name"
	| "maxPending"
	| "leakThresholdMillis"
	| "validateAfterIdleMillis"
	| "validateTimeoutMillis"
	| "connectHeadStartMillis"
	| "maxConnecting"
	| "keepsMin"
	| "permits"
	| "processWatch"
	| "onProcessChange";

declare module "knex" {
	namespace Knex {
		interface PoolConfig extends Pick<TarnPoolOptions<object>, ForkSafePoolOptions> {
			/** Other defaults, for what stands between the pool and its server. PostgreSQL only. @default none */
			preset?: Preset;
			/** Whether the server keeps what comes again: see the Pool of @forksafe/pg. PostgreSQL only. @default false */
			prepare?: boolean | PrepareOptions;
			/** Whether the process may exit while connections are idle. @default true */
			allowExitOnIdle?: boolean;
		}
	}
}

/**
 * Makes a class for Knex's `client` option whose pool may be used by the process that created it and by every process
 * forked from it.
 *
 * @param dialect `pg` (or `postgres`, `postgresql`), `cockroachdb`, `redshift`, `mysql2`, or a Knex client class that extends one
 * of theirs, from whichever copy of Knex
 * @throws OptionError (ERR_FORKSAFE_OPTION) for a dialect whose driver is neither pg nor mysql2
 * @example
 * ```ts
 * const db = knex({ client: forkSafe("cockroachdb"), connection: process.env.DATABASE_URL });
 * ```
 */
export function forkSafe(dialect: string | KnexClientClass): KnexClientClass {
	const { Client, support } = supported(dialect);
	const Base = support.guarded(Client as unknown as KnexClientConstructor);

	class ForkSafeClient extends Base {
		constructor(config: Knex.Config) {
			const { pool } = config;
			if (pool !== undefined && (typeof pool !== "object" || pool === null || Array.isArray(pool))) {
				throw new OptionError("pool", pool, "must be an object with the options of the pool");
			}
			// Knex takes this for "no pool", and then cannot run a query.
			if (pool?.max === 0) throw new OptionError("max", 0, "must be a whole number, 1 or more");
			if (config.connectionPool) checkConnectionPool(config.connectionPool, Base.prototype, support);
			super(config);
		}

		override initializePool(config: Knex.Config = this.config): void {
			if (config.connectionPool) checkConnectionPool(config.connectionPool, this, support);
			if (this.pool !== undefined || config.connectionPool) {
				super.initializePool(config);
				return;
			}
			this.pool = new TarnPool(this.getPoolSettings(config.pool) as unknown as TarnPoolOptions<KnexConnection>);
			this._ownsPool = true;
		}

		override getPoolSettings(pool: Knex.PoolConfig = {}): Record<string, unknown> {
			checkKnexOptions(pool);
			const { allowExitOnIdle = true, preset, prepare, ...given } = pool;
			for (const [name, value] of Object.entries({ preset, prepare })) {
				if (value === undefined || support.preset !== undefined) continue;
				throw new OptionError(name, value, `is not for ${support.driver}: leave it out`);
			}
			const tarnOptions: Knex.PoolConfig = { ...support.preset?.(preset, this), ...given };
			// Knex 3.1 leaves afterCreate in, and takes it out where it makes its own pool.
			const { afterCreate: _, ...settings } = super.getPoolSettings(tarnOptions);
			const create = settings["create"] as (callback: unknown, signal: AbortSignal) => Promise<KnexConnection>;
			const validate = settings["validate"] as Validate;
			const all = { ...(this.poolDefaults() as Knex.PoolConfig), ...tarnOptions };
			const asksMore = all.validate !== undefined || all.maxConnectionLifetimeMillis !== undefined;
			const watch = support.watchServers((connection) => {
				// Behind a pooler, a server's sessions are the pooler's.
				if (preset === undefined) (this.pool as TarnPool<KnexConnection> | undefined)?.evict(connection);
			});
			const care: Partial<TarnPoolOptions<KnexConnection>> = {
				createTimeoutMillis: DEFAULT_CREATE_TIMEOUT_MILLIS,
				connectHeadStartMillis: defaultPoolOptions.connectHeadStartMillis,
				maxConnecting: defaultPoolOptions.maxConnecting,
				keepsMin: true,
				ping: support.ping,
				isTransient: (error, hasConnected) => isConnectError(error) && support.isTransient(error, hasConnected),
				...(allowExitOnIdle && { ref: support.ref, unref: support.unref }),
			};
			return {
				...care,
				...settings,
				// Knex's own is asynchronous throughout, and costs each acquire two timers and some turns. What it would ask in the usual
				// case can be told at once.
				validate: (connection: KnexConnection) => {
					const isUsual = !asksMore && !connection.__knex__disposed && !this.connectionConfigExpirationChecker;
					return isUsual ? this.validateConnection(connection) : validate(connection);
				},
				create: async (callback: unknown, signal: AbortSignal) => {
					const connection = await open(() => create(callback, signal), signal, support.giveUp);
					watch(connection);
					return connection;
				},
			};
		}

		/** What comes back after `destroy()` went with the pool: in a forked child, the parent's connections. */
		override releaseConnection(connection: KnexConnection): Promise<void> {
			return this.pool === undefined ? Promise.resolve() : super.releaseConnection(connection);
		}

		/** Asked before an idle connection is handed out, after Knex's own checks. */
		override validateConnection(connection: KnexConnection): Promise<boolean> {
			const isValid: unknown = support.isAlive(connection) && super.validateConnection(connection);
			// Knex's own may answer at once, and is then not waited for.
			return isValid as Promise<boolean>;
		}

		override acquireConnection(): Promise<KnexConnection> {
			return explained(this, super.acquireConnection);
		}

		/** Knex releases the connection of a stream twice. */
		override runner(builder: unknown): KnexRunnerInternals {
			const runner = super.runner(builder);
			runner.stream = leasedStream;
			return runner;
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

/** What Knex keeps to itself of the pool's options, and uses unchecked. */
function checkKnexOptions(pool: Knex.PoolConfig = {}): void {
	// JSON can have it as a property. Knex would make a prototype of it, and lose what is in there.
	if (Object.hasOwn(pool, "__proto__")) throw new OptionError("__proto__", undefined, "does not exist", false);
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
function checkConnectionPool(pool: unknown, client: object, { isGuardedPool }: DialectSupport): void {
	// Knex 3.1 ignores the option.
	if (isKnex31(client)) {
		throw new OptionError("connectionPool", pool, "is not known to this version of Knex: use pool, or Knex 3.3");
	}
	if (!(pool instanceof TarnPool || isGuardedPool(pool))) {
		throw new OptionError("connectionPool", pool, "must be a TarnPool of @forksafe/knex or a Pool of @forksafe/pg");
	}
}
