import {
	type PoolOptions as CorePoolOptions,
	checkDuration,
	OptionError,
	type ProcessChange,
	type ProcessWatch,
	rejectUnknownOptions,
} from "@forksafe/core";
import pg from "pg";
import { Client } from "./client.ts";

/**
 * What pg's Pool takes, with its meaning and its defaults, and what forksafe adds. Two defaults are safer: without
 * `connectionTimeoutMillis`, pg waits for ever for a connection; here 30 s for a free one, 10 s for a new one.
 */
export interface PoolConfig extends pg.PoolConfig {
	/** What the pool is called in log lines. @default "pool" */
	name?: string | undefined;
	/** More than this many may not wait. 0: no limit. @default 0 */
	maxPending?: number | undefined;
	/** How the pool notices that its process has changed. @default "always" */
	processWatch?: ProcessWatch | undefined;
	/** Called once after each process change. */
	onProcessChange?: ((change: ProcessChange) => void) | undefined;
	/** Sets a new connection up, before anybody gets it. If it fails, the connection is closed and whoever waits for it is told. */
	onConnect?: ((client: pg.ClientBase) => void | PromiseLike<void>) | undefined;
	/** @deprecated pg-pool's old name for `max` */
	poolSize?: number | undefined;
}

/** What a pool's own engine is told, and what every client of it is. */
interface SplitConfig {
	readonly pool: CorePoolOptions;
	readonly client: pg.ClientConfig;
	readonly Client: typeof Client;
}

const CORE_OPTIONS = [
	"name",
	"min",
	"max",
	"maxPending",
	"maxUses",
	"idleTimeoutMillis",
	"processWatch",
	"onProcessChange",
	"log",
];
const POOL_OPTIONS = [
	...CORE_OPTIONS,
	"poolSize",
	"connectionTimeoutMillis",
	"maxLifetimeSeconds",
	"allowExitOnIdle",
	"verify",
	"onConnect",
	"Client",
	"Promise",
];
/** `lib/client.js` and `lib/connection-parameters.js` of pg 8.23.1. */
const CLIENT_OPTIONS = [
	"user",
	"database",
	"password",
	"port",
	"host",
	"connectionString",
	"ssl",
	"sslnegotiation",
	"sslmode",
	"options",
	"application_name",
	"fallback_application_name",
	"client_encoding",
	"replication",
	"binary",
	"types",
	"stream",
	"statement_timeout",
	"lock_timeout",
	"idle_in_transaction_session_timeout",
	"query_timeout",
	"connection",
	"pipeline",
	"keepAlive",
	"keepAliveInitialDelayMillis",
	"enableChannelBinding",
	"scramMaxIterations",
];

/**
 * Tells pool and client options apart and speaks pg-pool's language to the engine.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION); the engine checks the values of its own options
 */
export function splitConfig(config: PoolConfig): SplitConfig {
	// A client class of the application's own may well have options of its own.
	if (config.Client === undefined) rejectUnknownOptions(config, [...POOL_OPTIONS, ...CLIENT_OPTIONS]);
	const client = Object.fromEntries(Object.entries(config).filter(([name]) => !POOL_OPTIONS.includes(name)));
	// pg-pool hides the password from loggers by making it not enumerable, so it is not among the entries.
	if (config.password !== undefined) client["password"] = config.password;
	return { pool: coreOptions(config), client, Client: clientClass(config.Client) };
}

function coreOptions(config: PoolConfig): CorePoolOptions {
	const { connectionTimeoutMillis, maxLifetimeSeconds, idleTimeoutMillis, maxUses, log } = config;
	if (maxLifetimeSeconds !== undefined && !(maxLifetimeSeconds >= 0)) {
		throw new OptionError("maxLifetimeSeconds", maxLifetimeSeconds, "must be a number of seconds, 0 or more (0: off)");
	}
	const options = Object.fromEntries(
		Object.entries(config).filter(([name, value]) => CORE_OPTIONS.includes(name) && value !== undefined),
	) as CorePoolOptions;
	if (config.max === undefined && config.poolSize !== undefined) options.max = config.poolSize;
	if (idleTimeoutMillis === null) options.idleTimeoutMillis = 0;
	if (maxUses === Number.POSITIVE_INFINITY) options.maxUses = 0;
	if (maxLifetimeSeconds !== undefined) options.maxLifetimeMillis = maxLifetimeSeconds * 1000;
	if (connectionTimeoutMillis !== undefined) {
		checkDuration("connectionTimeoutMillis", connectionTimeoutMillis);
		options.acquireTimeoutMillis = options.connectTimeoutMillis = connectionTimeoutMillis;
	}
	if (log !== undefined) options.log = (message) => log(message);
	return options;
}

function clientClass(given: unknown): typeof Client {
	if (given === undefined || given === pg.Client) return Client;
	if (typeof given === "function" && (given === Client || given.prototype instanceof Client)) return given as typeof Client;
	throw new OptionError(
		"Client",
		given,
		"must be Client of @forksafe/pg or extend it: pg-native and other clients cannot be guarded",
	);
}
