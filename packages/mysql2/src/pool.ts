/**
 * The interface of mysql2's pool over core's engine. The engine decides who gets which connection; this file speaks mysql2's
 * dialect of it: callbacks, four events, and the error texts that applications match on. What goes by `getConnection` there
 * (`query`, `execute`, `promise()`) is mysql2's own.
 */
import process from "node:process";
import {
	ConnectError,
	Pool as CorePool,
	hideWhenPrinted,
	PoolClosedError,
	type PoolStats,
	QueueFullError,
	type ReleaseOptions,
	rejectUnknownOptions,
	type SuspendOptions,
} from "@forksafe/core";
import type mysql from "mysql2";
import type { PoolConnection as PromisePoolConnection } from "mysql2/promise";
import { MysqlDriver, type PooledConnection } from "./driver.ts";
import { concernsServer } from "./failures.ts";
import { type Guarded, guard } from "./guard.ts";
import { giveUp } from "./liveness.ts";
import { SECRETS } from "./mysql-internals.ts";
import { assertMysqlPool, classes } from "./mysql-pool-internals.ts";
import { type PoolOptions, splitOptions } from "./pool-options.ts";

/** A connection that belongs to a pool, for as long as somebody has it. */
export interface PoolConnection extends mysql.PoolConnection, Guarded {}

/** How one connection is asked for. */
export interface GetConnectionOptions {
	/** Gives up waiting: leaves the queue at once, and calls back with the signal's reason. A connection is opened for others. */
	signal?: AbortSignal | undefined;
}

type ConnectionCallback = (error: NodeJS.ErrnoException | null, connection: PoolConnection) => unknown;
type EndCallback = (error: NodeJS.ErrnoException | null) => unknown;

assertMysqlPool();
const MysqlPool: typeof classes.Pool = classes.Pool;

/**
 * A drop-in for mysql2's pool that may be used by the process that created it and by every process forked from it.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor
 * @example
 * ```ts
 * const pool = new Pool({ uri: process.env.MYSQL_URL ?? "", connectionLimit: 10 });
 * const [rows] = await pool.promise().query("select ? as n", [1]);
 * ```
 */
export class Pool extends MysqlPool {
	readonly #core: CorePool<PooledConnection>;
	readonly #maxIdle: number;
	readonly #waits: boolean;
	readonly #resets: boolean;

	/** @param options those of mysql2's createPool and ours, or a url */
	constructor(options: string | PoolOptions) {
		const { core, config, allowExitOnIdle } = splitOptions(options);
		// With a lower `maxIdle` mysql2 would start a timer that looks for idle connections of its own.
		super({ config: { ...config, maxIdle: config.connectionLimit } });
		hideWhenPrinted(config.connectionConfig, SECRETS);
		this.#maxIdle = config.maxIdle;
		this.#waits = config.waitForConnections;
		this.#resets = config.resetOnRelease;
		let { processWatch } = core;
		const createConnection = (): PooledConnection => {
			const raw = new classes.PoolConnection(this, { config: this._createConnectionConfig() });
			const connection = guard(raw, { processWatch, onCommandError: (error) => this.#noteError(error, connection) });
			connection._released = true; // until somebody has it
			return connection;
		};
		this.#core = new CorePool(new MysqlDriver({ createConnection, isUnrefedWhenIdle: allowExitOnIdle }), core);
		this.#core.on("connect", (connection) => this.emit("connection", connection));
		this.#core.on("processChange", () => {
			if (processWatch === "once") processWatch = "off";
		});
	}

	/**
	 * Calls back with a connection, for whoever takes it to release.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION) for options that do not exist
	 */
	override getConnection(callback: ConnectionCallback, options: GetConnectionOptions = {}): void {
		rejectUnknownOptions(options, ["signal"]);
		const { signal } = options;
		if (!this.#waits && this.#isExhausted()) {
			process.nextTick(callback, new Error("No connections available."));
			return;
		}
		if (this.listenerCount("enqueue") > 0 && this.#isExhausted()) this.emit("enqueue");
		// Out of the promise: what the callback throws is an uncaught exception, as it is with mysql2.
		this.#core.acquire(signal && { signal }).then(
			(connection) => {
				connection._released = false;
				this.emit("acquire", connection);
				process.nextTick(callback, null, connection);
			},
			(error: unknown) => process.nextTick(callback, inTheWordsOfMysql2(error)),
		);
	}

	/** What `connection.release()` comes to. @throws ReleaseError (ERR_FORKSAFE_RELEASE) when it is in the pool already */
	override releaseConnection(connection: mysql.PoolConnection | PromisePoolConnection): void {
		if (!(connection instanceof classes.PoolConnection)) connection.release();
		else if (connection._pool !== null) this.#takeBack(connection as PooledConnection);
	}

	/**
	 * Hands out nothing more, rejects who waits, lets connections in use come back for 30 s at most, and closes them all. In a
	 * forked child it ends the child's own pool only.
	 */
	override end(callback: EndCallback = throwIt): void {
		this.#core.drain().then(
			() => {
				this._closed = true;
				process.nextTick(callback, null);
			},
			(error: NodeJS.ErrnoException) => process.nextTick(callback, error),
		);
	}

	/** Ends the pool. */
	[Symbol.asyncDispose](): Promise<void> {
		return new Promise((resolve, reject) => this.end((error) => (error ? reject(error) : resolve())));
	}

	/**
	 * Replaces every connection, softly: those that are idle are closed now, those in use when they come back. For a password
	 * that was rotated, or a server that is no longer the primary. The pool does it by itself when a server says that it shuts
	 * down (1053) or is read only (1836, and 1290 for that reason).
	 */
	evict(): void {
		this.#core.evict();
	}

	/**
	 * Closes every connection and opens none until {@link Pool.resume}, so that the process can be stopped, frozen or copied without
	 * leaving a session behind: those in use finish, the rest is closed at once. Resolves when the last one has gone.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION); ResumedError (ERR_FORKSAFE_RESUMED) when `resume()` was called before that
	 * @example
	 * ```ts
	 * await pool.suspend({ deadlineMillis: 2_000 });
	 * ```
	 */
	suspend(options?: SuspendOptions): Promise<void> {
		return this.#core.suspend(options);
	}

	/** Opens a pool that is suspended: it connects when somebody needs a connection, those first who have waited. */
	resume(): void {
		this.#core.resume();
	}

	/** What the pool holds at this moment. */
	stats(): PoolStats {
		return this.#core.stats();
	}

	/** @internal mysql2's connection says so when it is lost, or ended by who has it. */
	_removeConnection(connection: PooledConnection): void {
		// When it has ended itself: otherwise the pool would say goodbye for it.
		process.nextTick(() => {
			if (this.#core.invalidate(connection) || connection._released) return;
			connection._released = true;
			this.#core.release(connection, { destroy: true });
		});
	}

	#takeBack(connection: PooledConnection): void {
		connection._released = true;
		if (!this.#resets || connection.isInherited()) {
			this.#giveBack(connection);
			return;
		}
		let isOver = false;
		const over = (hasFailed: boolean): void => {
			if (isOver) return;
			isOver = true;
			stop();
			this.#giveBack(connection, hasFailed ? { destroy: true } : undefined);
		};
		const stop = this.#core.startDeadline(this.#core.options.validateTimeoutMillis, () => {
			giveUp(connection);
			over(true); // mysql2 calls nobody back on a connection that was destroyed
		});
		connection.reset((error) => over(Boolean(error)));
	}

	#giveBack(connection: PooledConnection, options?: ReleaseOptions): void {
		this.#core.release(connection, options ?? (this.#hasIdleEnough() ? { destroy: true } : undefined));
		this.emit("release", connection);
	}

	#hasIdleEnough(): boolean {
		if (this.#maxIdle >= this.#core.options.max) return false;
		const { idle, pending } = this.#core.stats();
		return pending === 0 && idle >= this.#maxIdle;
	}

	#isExhausted(): boolean {
		const { state, idle, total, max } = this.#core.stats();
		return idle === 0 && (total >= max || state === "suspended");
	}

	#noteError(error: Error, connection: PooledConnection): void {
		if (concernsServer(error)) this.#core.evict(connection);
	}
}

/** As mysql2's createPool, but what it makes survives a fork. @throws OptionError (ERR_FORKSAFE_OPTION) */
export function createPool(options: string | PoolOptions): Pool {
	return new Pool(options);
}

function throwIt(error: Error | null): void {
	if (error) throw error;
}

/** Applications match on these texts; what forksafe knows is the `cause`. */
function inTheWordsOfMysql2(error: unknown): unknown {
	if (error instanceof PoolClosedError) return new Error("Pool is closed.", { cause: error });
	if (error instanceof QueueFullError) return new Error("Queue limit reached.", { cause: error });
	if (!(error instanceof ConnectError)) return error;
	if (!error.isTimeout) return error.asDriverError();
	const code = "ETIMEDOUT";
	return Object.assign(new Error(`connect ${code}`, { cause: error }), { code, errorno: code, syscall: "connect", fatal: true });
}
