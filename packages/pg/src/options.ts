import {
	type PoolOptions as CorePoolOptions,
	checkDuration,
	OptionError,
	type Permits,
	type ProcessChange,
	type ProcessWatch,
	rejectUnknownOptions,
} from "@forksafe/core";
import pg from "pg";
import { Client, type ClientConfig } from "./client.ts";
import { type ApplicationName, checkClientOptions, clientOptions } from "./client-options.ts";
import type { PrepareOptions } from "./prepare-options.ts";
import { type Preset, presetDefaults, refuseSessionParameters } from "./presets.ts";

/**
 * What pg's Pool takes, with its meaning and its defaults, and what forksafe adds. Three defaults are others: without
 * `connectionTimeoutMillis`, pg waits for ever for a connection; here 30 s for a free one, 10 s for a new one (an explicit 0
 * waits for ever). And idle clients do not keep the process alive.
 */
export interface PoolConfig extends Omit<pg.PoolConfig, "onConnect" | "allowExitOnIdle" | "application_name"> {
	/** What the server calls the connections. A function is asked at each connect, and given the true pid of this process. */
	application_name?: ApplicationName | undefined;
	/** Other defaults, for what stands between the pool and its server. @default none */
	preset?: Preset | undefined;
	/**
	 * Whether the server keeps what comes again, under names of ours: it is parsed and analysed once for each connection, and from
	 * its sixth use on the server may keep its plan as well. `true`: with the defaults of {@link PrepareOptions}.
	 *
	 * Prepared are single statements with values, and `select`, `insert`, `update`, `delete`, `merge`, `values` and `with` without
	 * any, if there is no `;` and no `$` in them. What has a `name`, `queryMode` or `rows`, cursors, streams and COPY are sent as ever.
	 *
	 * When a statement has gone (26000), or its columns have changed (0A000), it is run again without a name; in a transaction,
	 * which is over by then, the error is reported, and the next use is right again.
	 *
	 * Refused beside `preset`: PgBouncer before 1.21, or without `max_prepared_statements`, gives a statement to one server
	 * and its use to another. From 1.21 on, give the preset's defaults in its place:
	 * `{ ...presetDefaults("transaction-pooler"), prepare: true }`.
	 *
	 * @default false
	 */
	prepare?: boolean | PrepareOptions | undefined;
	/** What the pool is called in log lines. @default "pool" */
	name?: string | undefined;
	/** More than this many may not wait. 0: no limit. @default 0 */
	maxPending?: number | undefined;
	/** A client that is held for longer is reported once, to `log`, with the stack of who took it. 0: never. @default 0 */
	leakThresholdMillis?: number | undefined;
	/** The first client of a pool is opened alone for so long, or until it is connected: all at once delay each other. 0: all at once. @default 15 */
	connectHeadStartMillis?: number | undefined;
	/** So many clients are being connected at a time, at most. 0: as many as are needed. @default 10 */
	maxConnecting?: number | undefined;
	/** A client that has been idle for longer is asked whether its server still answers, before it is handed out. 0: never. @default 1000 */
	validateAfterIdleMillis?: number | undefined;
	/** A client that does not answer within this time is closed, and another one taken. 0: it may take for ever. @default 5000 */
	validateTimeoutMillis?: number | undefined;
	/**
	 * In place of `maxLifetimeSeconds`, with chance: a client older than this is closed when it is idle, up to a tenth earlier, so
	 * that those opened together do not all go at once. 0: never. @default 0
	 */
	maxLifetimeMillis?: number | undefined;
	/**
	 * Whether the process may exit while clients are idle. With `false` they keep it alive until `idleTimeoutMillis` has passed,
	 * which is pg-pool's default. Clients in use always do. @default true
	 */
	allowExitOnIdle?: boolean | undefined;
	/** Who is asked before a client is connected, and told when it has ended: a budget of several pools. @default nobody */
	permits?: Permits | undefined;
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
	readonly client: ClientConfig;
	readonly Client: typeof Client;
}

const CORE_OPTIONS = [
	"name",
	"min",
	"max",
	"maxPending",
	"leakThresholdMillis",
	"connectHeadStartMillis",
	"maxConnecting",
	"validateAfterIdleMillis",
	"validateTimeoutMillis",
	"maxLifetimeMillis",
	"maxUses",
	"permits",
	"idleTimeoutMillis",
	"processWatch",
	"onProcessChange",
	"log",
];
const POOL_OPTIONS = [
	...CORE_OPTIONS,
	"poolSize",
	"preset",
	"connectionTimeoutMillis",
	"maxLifetimeSeconds",
	"allowExitOnIdle",
	"verify",
	"onConnect",
	"Client",
	"Promise",
];
const LONGEST_TIMER_SECONDS = 2_147_483;

/**
 * Tells pool and client options apart and speaks pg-pool's language to the engine.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION); the engine checks the values of its own options
 */
export function splitConfig(given: PoolConfig): SplitConfig {
	const config = withPreset(given);
	// A client class of the application's own may well have options of its own.
	if (config?.Client === undefined) rejectUnknownOptions(config, [...POOL_OPTIONS, ...clientOptions]);
	const client = Object.fromEntries(Object.entries(config).filter(([name]) => !POOL_OPTIONS.includes(name)));
	// pg-pool hides the password from loggers by making it not enumerable, so it is not among the entries.
	if (config.password !== undefined) client["password"] = config.password;
	if (config.Promise !== undefined) client["Promise"] = config.Promise;
	checkClientOptions(client);
	if (config.preset !== undefined) refuseSessionParameters(client);
	return { pool: coreOptions(config), client, Client: clientClass(config.Client) };
}

/** What the application gives itself comes first. */
function withPreset(given: PoolConfig): PoolConfig {
	const defaults = presetDefaults(given?.preset);
	if (defaults === undefined) return given;
	const { maxLifetimeMillis, ...others } = defaults;
	const own = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
	return {
		...others,
		...(given.maxLifetimeSeconds === undefined && { maxLifetimeMillis }),
		...own,
		...(given.password !== undefined && { password: given.password }),
	};
}

function coreOptions(config: PoolConfig): CorePoolOptions {
	const { connectionTimeoutMillis, idleTimeoutMillis, maxUses, maxLifetimeMillis, maxLifetimeSeconds } = config;
	for (const [name, [isRight, remedy]] of Object.entries(checks)) {
		const value: unknown = config[name as keyof PoolConfig];
		if (value !== undefined && !isRight(value)) throw new OptionError(name, value, remedy);
	}
	if (maxLifetimeMillis !== undefined && maxLifetimeSeconds !== undefined) {
		throw new OptionError("maxLifetimeMillis", maxLifetimeMillis, "must not stand beside maxLifetimeSeconds");
	}
	const options = Object.fromEntries(
		Object.entries(config).filter(([name, value]) => CORE_OPTIONS.includes(name) && value !== undefined),
	) as CorePoolOptions;
	if (config.max === undefined && config.poolSize !== undefined) options.max = config.poolSize;
	if (idleTimeoutMillis === null) options.idleTimeoutMillis = 0;
	if (maxUses === Number.POSITIVE_INFINITY) options.maxUses = 0;
	if (connectionTimeoutMillis !== undefined) {
		checkDuration("connectionTimeoutMillis", connectionTimeoutMillis);
		options.acquireTimeoutMillis = options.connectTimeoutMillis = connectionTimeoutMillis;
	}
	return options;
}

/** Of options that the engine does not know, or knows by another name than the one that an error has to give. */
const checks = {
	poolSize: [(value) => Number.isSafeInteger(value) && (value as number) >= 1, "must be a whole number, 1 or more"],
	maxLifetimeSeconds: [
		(value) => typeof value === "number" && value >= 0 && value <= LONGEST_TIMER_SECONDS,
		`must be a number of seconds from 0 to ${LONGEST_TIMER_SECONDS} (0: off)`,
	],
	allowExitOnIdle: [(value) => typeof value === "boolean", "must be true or false"],
	verify: [(value) => typeof value === "function", "must be a function"],
	onConnect: [(value) => typeof value === "function", "must be a function"],
	Promise: [(value) => typeof value === "function", "must be a promise class"],
} satisfies { [Name in keyof PoolConfig]: [isRight: (value: unknown) => boolean, remedy: string] };

function clientClass(given: unknown): typeof Client {
	if (given === undefined || given === pg.Client) return Client;
	if (typeof given === "function" && (given === Client || given.prototype instanceof Client)) return given as typeof Client;
	throw new OptionError(
		"Client",
		given,
		"must be Client of @forksafe/pg or extend it: pg-native and other clients cannot be guarded",
	);
}
