/**
 * pg-pool's interface over core's engine. The engine decides who gets which connection; this file speaks pg's dialect of
 * it: callbacks beside promises, `client.release()`, five events, counters, and the error texts that applications match on.
 */
import { AsyncResource } from "node:async_hooks";
import process from "node:process";
import { promisify } from "node:util";
import {
	AcquireTimeoutError,
	ConnectError,
	Pool as CorePool,
	hideWhenPrinted,
	PoolClosedError,
	type PoolStats,
	rejectUnknownOptions,
	type SuspendOptions,
} from "@forksafe/core";
import pg from "pg";
import type { Client } from "./client.ts";
import { PgDriver } from "./driver.ts";
import { type PoolConfig, splitConfig } from "./options.ts";

/** A client that belongs to a pool, for as long as somebody has it. */
export interface PoolClient extends Client {
	/**
	 * Gives the client back, once; with an error, or true, it is closed instead. In a process that inherited it, it does nothing.
	 *
	 * It is another function each time the client is handed out, and one that is kept never frees what somebody else has by
	 * now. But whoever looks it up anew on a client that they have given back finds that of its next user, as with pg's pool.
	 *
	 * @throws Error in pg-pool's words when it is called twice
	 */
	release(error?: Error | boolean): void;
	/**
	 * Gives the client back at the end of a block, unless that was done before.
	 *
	 * @example
	 * ```ts
	 * using client = await pool.connect();
	 * await client.query("select 1");
	 * ```
	 */
	[Symbol.dispose](): void;
}

/** How one connect differs from the others. */
export interface ConnectOptions {
	/** Gives up waiting for a client: leaves the queue at once, and rejects with the signal's reason. A client is opened for others. */
	signal?: AbortSignal | undefined;
}

type ConnectCallback = (
	error: Error | undefined,
	client: PoolClient | undefined,
	done: (release?: Error | boolean) => void,
) => void;

/**
 * A drop-in for pg's Pool that may be used by the process that created it and by every process forked from it.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor
 * @example
 * ```ts
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
 * const { rows } = await pool.query("select $1::int as n", [1]);
 * ```
 */
export class Pool extends pg.Pool {
	declare ending: boolean;
	declare ended: boolean;
	/** pg-pool's: what was given as the option, or nothing. */
	declare private readonly log: (message: string) => void;
	/** The class of the pool's clients. */
	readonly Client: typeof Client;
	/** The class of the promises that it gives, and its clients give. */
	readonly Promise: PromiseConstructor;
	private readonly core: CorePool<PoolClient>;
	private readonly driver: PgDriver<PoolClient>;
	private readonly maxLifetimeMillis: number;
	/** Those in use whose lifetime is over. */
	private readonly expired = new Set<PoolClient>();

	constructor(config: PoolConfig = {}) {
		const split = splitConfig(config);
		super(config as pg.PoolConfig); // it only keeps them
		hideWhenPrinted(this.options, ["connectionString", "password"]);
		const { allowExitOnIdle = true, maxLifetimeSeconds = 0, verify, onConnect } = config;
		let { processWatch } = split.pool;
		this.Client = split.Client;
		this.Promise = (config.Promise ?? Promise) as PromiseConstructor;
		this.maxLifetimeMillis = maxLifetimeSeconds * 1000;
		this.driver = new PgDriver<PoolClient>({
			createClient: () => new split.Client({ ...split.client, processWatch }),
			setUp: async (client) => {
				await onConnect?.(client);
				if (verify) await promisify(verify)(client as PoolClient);
			},
			onBroken: (client, error) => this.drop(client as PoolClient, error),
			// Behind a pooler, a server's sessions are the pooler's.
			...(config.preset === undefined && { onServerLost: (client) => this.core.evict(client as PoolClient) }),
			isUnrefedWhenIdle: allowExitOnIdle,
		});
		this.core = new CorePool(this.driver, split.pool);
		this.core.on("connect", (client) => {
			if (this.maxLifetimeMillis > 0) this.limitLifetime(client);
			this.emit("connect", client);
		});
		this.core.on("destroy", (client) => {
			this.expired.delete(client);
			this.emit("remove", client);
		});
		this.core.on("discard", (client) => this.expired.delete(client));
		this.core.on("processChange", () => {
			if (processWatch === "once") processWatch = "off";
		});
	}

	override connect(): Promise<PoolClient>;
	/**
	 * pg-pool's `connect()`, which can be given up.
	 *
	 * @throws the reason of the signal; OptionError (ERR_FORKSAFE_OPTION)
	 * @example
	 * ```ts
	 * using client = await pool.connect({ signal: AbortSignal.timeout(500) });
	 * ```
	 */
	override connect(options: ConnectOptions | undefined): Promise<PoolClient>;
	override connect(callback: ConnectCallback): void;
	override connect(how?: ConnectOptions | ConnectCallback): Promise<PoolClient> | void {
		if (typeof how !== "function") return this.promised(this.lease(how));
		// Out of the promise: what the callback throws is an uncaught exception, as it is with pg's pool.
		this.lease().then(
			(client) => process.nextTick(how, undefined, client, client.release),
			(error: Error) => process.nextTick(how, error, undefined, () => {}),
		);
	}

	/**
	 * Hands out nothing more, rejects who waits, lets clients in use come back for 30 s at most, and closes them all. In a
	 * forked child it ends the child's own pool only.
	 */
	override end(): Promise<void>;
	override end(callback: (error?: Error) => void): void;
	override end(callback?: (error?: Error) => void): Promise<void> | void {
		const ended = this.drain();
		if (callback === undefined) return this.promised(ended);
		ended.then(
			() => process.nextTick(callback),
			(error: Error) => process.nextTick(callback, error),
		);
	}

	/**
	 * Replaces every client, softly: those that are idle are closed now, those in use when they come back. For a password
	 * that was rotated, or a server that is no longer the primary. The pool does it by itself when a client is told that its
	 * server shuts down, has crashed (57P01, 57P02, 57P03, class 08 as the end of a session) or refuses writes (25006, unless
	 * the server says that it is a primary and only the transaction is read only).
	 */
	evict(): void {
		this.core.evict();
	}

	/**
	 * Closes every client and opens none until {@link Pool.resume}, so that the process can be stopped, frozen or copied without
	 * leaving a session behind: those in use finish, the rest is closed at once. Resolves when the last one has gone.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION); ResumedError (ERR_FORKSAFE_RESUMED) when `resume()` was called before that
	 * @example
	 * ```ts
	 * await pool.suspend({ deadlineMillis: 2_000 });
	 * ```
	 */
	suspend(options?: SuspendOptions): Promise<void> {
		return this.core.suspend(options);
	}

	/** Opens a pool that is suspended: it connects when somebody needs a client, those first who have waited. */
	resume(): void {
		this.core.resume();
	}

	/** Ends the pool, unless that was done before. */
	async [Symbol.asyncDispose](): Promise<void> {
		if (!this.ending) await this.end();
	}

	private promised<T>(promise: Promise<T>): Promise<T> {
		if (this.Promise === Promise) return promise;
		return new this.Promise((resolve, reject) => void promise.then(resolve, reject));
	}

	private async lease(options?: ConnectOptions): Promise<PoolClient> {
		if (options !== undefined) rejectUnknownOptions(options, ["signal"]);
		const signal = options?.signal;
		let client: PoolClient;
		try {
			client = await this.core.acquire(signal === undefined ? undefined : { signal });
		} catch (error) {
			throw inTheWordsOfPgPool(error);
		}
		this.beginLease(client);
		this.emit("acquire", client);
		return client;
	}

	/** @internal */
	promisedQuery(text: string, values?: unknown[]): Promise<pg.QueryResult> {
		return this.promised(this.queryOnce(text, values));
	}

	/** As in pg-pool, a client whose query has failed is closed. */
	private async queryOnce(text: string, values?: unknown[]): Promise<pg.QueryResult> {
		const client = await this.lease();
		this.log("dispatching query");
		let result: pg.QueryResult;
		try {
			result = await client.query(text, values);
		} catch (error) {
			this.log("query dispatched");
			client.release(error as Error);
			throw error;
		}
		this.log("query dispatched");
		client.release(null as unknown as undefined); // what the listeners of `release` get from pg-pool
		return result;
	}

	private beginLease(client: PoolClient): void {
		let isReleased = false;
		const release: PoolClient["release"] = (error) => {
			if (client.isDiscarded) return;
			if (isReleased) throw new Error("Release called on client which has already been released to the pool.");
			isReleased = true;
			this.emit("release", error as Error, client);
			this.expired.delete(client);
			this.core.release(client, error ? { destroy: true } : undefined);
		};
		client.release = release;
		// `using` takes this method together with the client: at the end of its block it ends this lease, and no later one.
		client[Symbol.dispose] = () => {
			if (!isReleased) release();
		};
	}

	/** Closes the client when its time is over: at once if it is idle, else when it comes back. */
	private limitLifetime(client: PoolClient): void {
		const timer = setTimeout(() => {
			if (client.isInherited() || this.core.invalidate(client)) return;
			if (this.driver.isAlive(client)) this.expired.add(client);
		}, this.maxLifetimeMillis).unref();
		client.once("end", () => clearTimeout(timer));
	}

	/** @internal So many are in use although their lifetime is over. */
	countExpired(): number {
		this.stats(); // looks at the process: those of another one do not count
		return this.expired.size;
	}

	/** pg-pool throws the error of an idle client at a pool without a listener, and with it the process. */
	private drop(client: PoolClient, error: Error | undefined): void {
		const wasIdle = this.core.invalidate(client);
		if (!wasIdle || error === undefined) return;
		if (this.listenerCount("error") > 0) this.emit("error", Object.assign(error, { client }), client);
		else this.core.options.log(`forksafe: an idle connection was lost: ${error.message}`);
	}

	private async drain(): Promise<void> {
		if (this.ending) throw new Error("Called end on pool more than once");
		this.ending = true;
		await this.core.drain();
		this.ended = true;
	}

	/** @internal */
	stats(): PoolStats {
		return this.core.stats();
	}
}

// In the types of pg these are properties, or have too many overloads to be written once more in a class body.
Object.defineProperties(Pool.prototype, {
	totalCount: counter(({ total, destroying }) => total - destroying),
	idleCount: counter(({ idle }) => idle),
	// Not those who have a client on its way to them, or may still have one opened.
	waitingCount: counter(({ pending, connecting, validating, max, total }) =>
		Math.max(0, pending - connecting - validating - (max - total)),
	),
	expiredCount: {
		get(this: Pool) {
			return this.countExpired();
		},
	},
	query: { value: query, writable: true, configurable: true },
});

/** With a promise it is ours, which takes half as long; whatever calls back is left to pg-pool. */
function query(this: Pool, text: unknown, values?: unknown, ...rest: unknown[]): unknown {
	const callsBack = typeof text === "function" || typeof values === "function" || rest.length > 0;
	if (callsBack || isSubmittable(text)) return queryInContext.call(this, text, values, ...rest);
	return this.promisedQuery(text as string, values as unknown[]);
}

function isSubmittable(text: unknown): boolean {
	if (typeof text !== "object" || text === null) return false;
	const { submit, callback } = text as { submit?: unknown; callback?: unknown };
	return submit !== undefined || callback !== undefined;
}

/** pg calls back in the async context of whoever opened the connection; here it is that of whoever asks. */
function queryInContext(this: Pool, ...args: unknown[]): unknown {
	const query = pg.Pool.prototype.query as (...args: unknown[]) => unknown;
	return query.apply(
		this,
		args.map((arg) => (typeof arg === "function" ? AsyncResource.bind(arg as () => void) : arg)),
	);
}

function counter(count: (stats: PoolStats) => number): PropertyDescriptor {
	return {
		get(this: Pool) {
			return count(this.stats());
		},
	};
}

/** Applications match on these texts; what forksafe knows is the `cause`. */
function inTheWordsOfPgPool(error: unknown): unknown {
	// pg-pool says this to those that had to queue, also when a connect has been begun for them since.
	if (error instanceof AcquireTimeoutError) return new Error("timeout exceeded when trying to connect", { cause: error });
	if (error instanceof PoolClosedError) return new Error("Cannot use a pool after calling end on the pool", { cause: error });
	if (error instanceof ConnectError && error.isTimeout) {
		return new Error("Connection terminated due to connection timeout", { cause: error });
	}
	return error instanceof ConnectError ? error.asDriverError() : error;
}
