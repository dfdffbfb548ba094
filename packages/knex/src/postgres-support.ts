import { OptionError } from "@forksafe/core";
import {
	cancelQuery,
	isAlive,
	isTransient,
	Client as PgClient,
	type ClientConfig as PgClientConfig,
	Pool,
	ping,
	prepareOptions,
	presetDefaults,
	ref,
	refuseSessionParameters,
	refuseToPrepare,
	ServerWatch,
	unref,
} from "@forksafe/pg";
import type { Knex } from "knex";
import pg from "pg";
import { isKnex31 } from "./acquire-time-out.ts";
import type { DialectSupport, KnexClientConstructor } from "./dialect-support.ts";
import type { KnexClientInternals, KnexConnection } from "./knex-internals.ts";
import { beginOpening, noteConnectError } from "./opening.ts";
import { DEFAULT_CREATE_TIMEOUT_MILLIS } from "./tarn-options.ts";
import type { TarnPool } from "./tarn-pool.ts";

type Connection = PgClient & KnexConnection;

/** Knex's dialects over pg. */
export const postgresSupport: DialectSupport<Connection> = {
	driver: "pg",
	guarded,
	isAlive,
	ping,
	isTransient,
	preset: knexDefaults,
	ref,
	unref,
	giveUp: (connection) => void connection.end().catch(() => {}),
	watchServers(onServerLost) {
		const servers = new ServerWatch<Connection>(onServerLost);
		return (connection) => servers.watch(connection);
	},
	isGuardedPool: (pool) => pool instanceof Pool,
};

function knexDefaults(name: unknown, client: KnexClientInternals): Knex.PoolConfig {
	const { config, connectionSettings } = client;
	const prepare = config.pool?.prepare;
	// The settings may be a url.
	for (const given of [{ prepare }, connectionSettings]) if (typeof given === "object") prepareOptions(given);
	const defaults = presetDefaults(name);
	if (defaults === undefined) return {};
	refuseToPrepare(prepare);
	const { searchPath } = config;
	if (searchPath !== undefined) {
		const remedy =
			"is set for a session, which a transaction pooler does not have: use alter role ... set search_path, or withSchema()";
		throw new OptionError("searchPath", searchPath, remedy);
	}
	// What a `connection` function gives is looked at when it is called.
	if (connectionSettings !== undefined) refuseSessionParameters(connectionSettings);
	const { validateAfterIdleMillis, idleTimeoutMillis, maxLifetimeMillis } = defaults;
	// Knex adds by chance what the others take off.
	const maxConnectionLifetimeJitterMillis = maxLifetimeMillis / 10;
	const maxConnectionLifetimeMillis = maxLifetimeMillis - maxConnectionLifetimeJitterMillis;
	const lifetimes = isKnex31(client) ? {} : { maxConnectionLifetimeMillis, maxConnectionLifetimeJitterMillis };
	return { validateAfterIdleMillis, idleTimeoutMillis, ...lifetimes };
}

function guarded(Base: KnexClientConstructor): KnexClientConstructor {
	return class extends Base {
		override _driver(): object {
			// An instance of pg's own class, not a plain object: withUserParams copies plain objects member by member.
			return Object.create(pg, { Client: { value: PgClient, enumerable: true } });
		}

		/** Knex's own needs a session of its own, and a backend's pid, which there is none of behind a pooler. */
		override cancelQuery(connection?: KnexConnection): unknown {
			// Knex gives a connection and waits for a promise, which its types do not say.
			return cancelQuery(connection as Connection);
		}

		override async _acquireOnlyConnection(): Promise<Connection> {
			const { createTimeoutMillis = DEFAULT_CREATE_TIMEOUT_MILLIS, preset, prepare } = this.config.pool ?? {};
			const defaults = presetDefaults(preset);
			// Knex passes on what a `connection` function gives, a url too.
			const given: string | PgClientConfig = this.connectionSettings;
			const settings: PgClientConfig = typeof given === "string" ? { connectionString: given } : given;
			if (defaults !== undefined && this.connectionConfigProvider) refuseSessionParameters(settings);
			const pool = this.pool as TarnPool<Connection> | undefined;
			const opened = beginOpening(pool);
			const connection: Connection = new this.driver.Client({
				connectionTimeoutMillis: createTimeoutMillis,
				prepare,
				...(defaults && { keepAliveInitialDelayMillis: defaults.keepAliveInitialDelayMillis }),
				...settings,
				// Knex hides it from loggers, and so from the line above.
				password: settings.password,
				processWatch: pool?.processWatch,
			});
			connection.on("error", (error) => {
				connection.__knex__disposed = error;
			});
			connection.on("end", () => {
				connection.__knex__disposed ??= "Connection ended unexpectedly";
			});
			opened(connection);
			await noteConnectError(() => connection.connect());
			return connection;
		}
	};
}
