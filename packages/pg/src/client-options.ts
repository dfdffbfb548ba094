import { knownPid, OptionError } from "@forksafe/core";
import type pg from "pg";
import { prepareOptions } from "./prepare-options.ts";
import { asLasting } from "./transient.ts";

/**
 * What the server is to call a connection: a text, or what a function makes of the process that opens the connection. It is
 * given the true pid, which `process.pid` is not in a forked child.
 */
export type ApplicationName = string | ((process: { readonly pid: number }) => string);

/** Whether pg can do something with a value, and what it would have to be. */
type Check = readonly [isRight: (value: unknown) => boolean, remedy: string];

const text: Check = [(value) => typeof value === "string", "must be a string"];
const yesOrNo: Check = [(value) => typeof value === "boolean", "must be true or false"];
/** pg sends strings of digits as they are, and takes `false` for "no limit". */
const millis: Check = [
	(value) => value === false || (isNumeric(value) && Number(value) >= 0),
	"must be a number of milliseconds, 0 or more (0 or false: off)",
];

/**
 * The options of pg's client, read from `lib/client.js` and `lib/connection-parameters.js` of pg 8.23.1. `null` counts as
 * not given, as it does there.
 */
const checks: Record<string, Check> = {
	user: text,
	database: text,
	password: [(value) => typeof value === "string" || typeof value === "function", "must be a string or a function"],
	port: [
		(value) => isNumeric(value) && Number.isInteger(Number(value)) && Number(value) >= 0 && Number(value) <= 65_535,
		"must be a port number, 0 to 65535",
	],
	host: text,
	connectionString: text,
	ssl: [(value) => ["boolean", "object", "string"].includes(typeof value), "must be true, false or the options of tls.connect"],
	sslnegotiation: text,
	sslmode: text,
	options: text,
	application_name: [(value) => typeof value === "string" || typeof value === "function", "must be a string or a function"],
	fallback_application_name: text,
	client_encoding: text,
	replication: [(value) => typeof value === "string" || typeof value === "boolean", "must be a string, true or false"],
	binary: yesOrNo,
	types: [
		(value) => typeof (value as { getTypeParser?: unknown }).getTypeParser === "function",
		"must be an object with getTypeParser()",
	],
	stream: [(value) => typeof value === "function" || typeof value === "object", "must be a stream, or a function that makes one"],
	statement_timeout: millis,
	lock_timeout: millis,
	idle_in_transaction_session_timeout: millis,
	query_timeout: millis,
	connection: [(value) => typeof value === "object", "must be a connection of pg"],
	pipeline: yesOrNo,
	keepAlive: yesOrNo,
	keepAliveInitialDelayMillis: millis,
	enableChannelBinding: yesOrNo,
	scramMaxIterations: [isNumeric, "must be a number"],
};
const SECRETS = ["password", "connectionString"];

/** The names of all options that pg's client knows. */
export const clientOptions: readonly string[] = [...Object.keys(checks), "prepare"];

/** @throws OptionError (ERR_FORKSAFE_OPTION) for a value that pg could only stumble over, later */
export function checkClientOptions(options: object): void {
	for (const [name, value] of Object.entries(options) as [string, unknown][]) {
		const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
		if (check === undefined || value === undefined || value === null) continue;
		const [isRight, remedy] = check;
		if (!isRight(value)) throw new OptionError(name, value, remedy, !SECRETS.includes(name));
	}
	prepareOptions(options);
}

/**
 * What pg is given: with TCP keep-alive, as a half-open connection looks alive until TCP asks, and pg does not ask by itself.
 */
export function clientSettings<Config extends Omit<pg.ClientConfig, "application_name">>(
	config: string | Config = {} as Config,
): Config {
	if (typeof config === "string") return { connectionString: config, keepAlive: true } as Config;
	const settings = { ...config, keepAlive: config.keepAlive ?? true };
	// Whoever hides the password from loggers makes it not enumerable.
	const { password } = config;
	if (password !== undefined) settings.password = typeof password === "function" ? markingErrors(password) : password;
	return settings;
}

/**
 * What a connection that this process opens is called.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) when a function gives no string
 */
export function sessionName(name: ApplicationName | undefined): string | undefined {
	if (typeof name !== "function") return name;
	let made: unknown;
	try {
		made = name({ pid: knownPid() });
	} catch (error) {
		throw asLasting(error);
	}
	if (typeof made === "string") return made;
	throw asLasting(new OptionError("application_name", made, "must be a string, when a function gives it"));
}

type PasswordFunction = Extract<pg.ClientConfig["password"], (...args: never) => unknown>;

/** When it fails, it is not the server that has failed. */
function markingErrors(password: PasswordFunction): PasswordFunction {
	return async function (this: unknown, ...args) {
		try {
			return await password.apply(this, args);
		} catch (error) {
			throw asLasting(error);
		}
	};
}

function isNumeric(value: unknown): boolean {
	return typeof value === "number" ? Number.isFinite(value) : typeof value === "string" && /^\d+$/.test(value);
}
