import { type PoolOptions as CorePoolOptions, OptionError, rejectUnknownOptions } from "@forksafe/core";
import mysql from "mysql2";
import type { MysqlPoolConfig } from "./mysql-pool-internals.ts";

/**
 * What mysql2's createPool takes, with its meaning, and what forksafe adds. Other than with mysql2, whoever waits for a
 * connection is told after 30 s, connections are closed when they have been idle for `idleTimeout`, whatever `maxIdle` is, and
 * idle ones do not keep the process alive.
 */
export interface PoolOptions extends mysql.PoolOptions, EngineOptions {
	/** Whether the process may exit while connections are idle. `false` is as with mysql2. @default true */
	allowExitOnIdle?: boolean | undefined;
}

/** Options of core's pool. `validateTimeoutMillis` limits `resetOnRelease`, too. */
type EngineOptions = { [Name in (typeof CORE_OPTIONS)[number]]?: CorePoolOptions[Name] | undefined };

/** What the engine is told, and what mysql2 made of the rest. */
interface SplitOptions {
	readonly core: CorePoolOptions;
	readonly config: MysqlPoolConfig;
	readonly allowExitOnIdle: boolean;
}

const CORE_OPTIONS = [
	"name",
	"min",
	"acquireTimeoutMillis",
	"leakThresholdMillis",
	"connectHeadStartMillis",
	"maxConnecting",
	"validateAfterIdleMillis",
	"validateTimeoutMillis",
	"maxLifetimeMillis",
	"maxUses",
	"permits",
	"processWatch",
	"onProcessChange",
	"log",
] as const;

/** Whether mysql2 can do something with a value, and what it would have to be. */
type Check = readonly [isRight: (value: unknown) => boolean, remedy: string];

const count: Check = [(value) => Number.isSafeInteger(value) && (value as number) >= 0, "must be a whole number, 0 or more"];
const millis: Check = [(value) => typeof value === "number" && value >= 0, "must be a number of milliseconds, 0 or more"];
const text = oneOf("a string", "string");
const yesOrNo = oneOf("true or false", "boolean");

/** The options of mysql2, read from `lib/connection_config.js` and `lib/pool_config.js` of mysql2 3.24.6. */
const checks: Readonly<Record<string, Check>> = {
	...each(count, ["charsetNumber", "connectionLimit", "maxIdle", "maxPreparedStatements", "queueLimit"]),
	...each(millis, ["connectTimeout", "idleTimeout", "keepAliveInitialDelay"]),
	...each(text, ["charset", "database", "host", "localAddress", "socketPath", "timezone", "uri", "user"]),
	...each(text, ["password", "password1", "password2", "password3"]),
	...each(yesOrNo, ["bigNumberStrings", "compress", "decimalNumbers", "disableEval", "enableCleartextPlugin"]),
	...each(yesOrNo, ["enableKeepAlive", "gracefulEnd", "insecureAuth", "jsonStrings", "multipleStatements"]),
	...each(yesOrNo, ["namedPlaceholders", "resetOnRelease", "rowsAsArray", "stringifyObjects", "supportBigNumbers"]),
	...each(yesOrNo, ["trace", "waitForConnections"]),
	...each(oneOf("a function", "function"), ["authSwitchHandler", "infileStreamFactory", "queryFormat"]),
	...each(oneOf("an object", "object"), ["authPlugins", "connectAttributes"]),
	dateStrings: oneOf("true, false or names of types", "boolean", "object"),
	debug: oneOf("true, false or names of packets", "boolean", "object", "string"),
	flags: oneOf("names of flags", "string", "object"),
	nestTables: oneOf("true, false or a separator", "boolean", "string"),
	passwordSha1: oneOf("a Buffer or a string", "object", "string"),
	port: [
		(value) => Number.isInteger(Number(value)) && Number(value) >= 0 && Number(value) <= 65_535,
		"must be a port number, 0 to 65535",
	],
	ssl: oneOf("options of TLS or the name of a profile", "object", "string", "boolean"),
	stream: oneOf("a stream, or a function that makes one", "object", "function"),
	typeCast: oneOf("true, false or a function", "boolean", "function"),
};
const SECRETS = ["uri", "password", "password1", "password2", "password3", "passwordSha1"];
const LONGEST_TIMER_MILLIS = 2 ** 31 - 1;

/**
 * Tells the engine's options from mysql2's, and speaks mysql2's language to the engine.
 *
 * @param given options, or a url
 * @throws OptionError (ERR_FORKSAFE_OPTION); the engine checks the values of its own options
 */
export function splitOptions(given: string | PoolOptions): SplitOptions {
	const options: PoolOptions = typeof given === "string" ? { uri: given } : given;
	rejectUnknownOptions(options, [...CORE_OPTIONS, ...Object.keys(ownChecks), ...Object.keys(checks)]);
	const { allowExitOnIdle = true } = options;
	check("allowExitOnIdle", allowExitOnIdle, ownChecks);
	const ofEngine: Record<string, unknown> = {};
	const ofMysql: Record<string, unknown> = {};
	for (const [name, value] of Object.entries(options) as [string, unknown][]) {
		if (value === undefined || value === null || Object.hasOwn(ownChecks, name)) continue;
		if (isCoreOption(name)) ofEngine[name] = value;
		else ofMysql[name] = check(name, value, checks);
	}
	const config = readBy(ofMysql);
	const { connectionLimit, idleTimeout, queueLimit, connectionConfig } = config;
	return {
		core: {
			...ofEngine,
			max: connectionLimit === 0 ? Number.MAX_SAFE_INTEGER : connectionLimit,
			maxPending: queueLimit,
			idleTimeoutMillis: Math.min(idleTimeout, LONGEST_TIMER_MILLIS),
			connectTimeoutMillis: Math.min(connectionConfig.connectTimeout, LONGEST_TIMER_MILLIS),
		},
		config,
		allowExitOnIdle,
	};
}

function isCoreOption(name: string): boolean {
	return (CORE_OPTIONS as readonly string[]).includes(name);
}

const ownChecks: Readonly<Record<string, Check>> = { allowExitOnIdle: yesOrNo };

/** A pool of mysql2 opens nothing before it is asked to. What it makes of its options, a url with its query among them, is in it. */
function readBy(options: object): MysqlPoolConfig {
	const pool = mysql.createPool(options);
	pool.end();
	return (pool as unknown as { config: MysqlPoolConfig }).config;
}

function check(name: string, value: unknown, table: typeof checks): unknown {
	const [isRight, remedy] = table[name] as Check;
	if (!isRight(value)) throw new OptionError(name, value, remedy, !SECRETS.includes(name));
	return value;
}

function oneOf(what: string, ...types: readonly string[]): Check {
	return [(value) => types.includes(typeof value), `must be ${what}`];
}

function each(check: Check, names: readonly string[]): Record<string, Check> {
	return Object.fromEntries(names.map((name) => [name, check]));
}
