import {
	isAlive,
	isTransient,
	Client as PgClient,
	type ClientConfig as PgClientConfig,
	Pool,
	ping,
	ref,
	ServerWatch,
	unref,
} from "@forksafe/pg";
import pg from "pg";
import type { DialectSupport, KnexClientConstructor } from "./dialect-support.ts";
import type { KnexConnection } from "./knex-internals.ts";
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
	ref,
	unref,
	giveUp: (connection) => void connection.end().catch(() => {}),
	watchServers(onServerLost) {
		const servers = new ServerWatch<Connection>(onServerLost);
		return (connection) => servers.watch(connection);
	},
	isGuardedPool: (pool) => pool instanceof Pool,
};

function guarded(Base: KnexClientConstructor): KnexClientConstructor {
	return class extends Base {
		override _driver(): object {
			// An instance of pg's own class, not a plain object: withUserParams copies plain objects member by member.
			return Object.create(pg, { Client: { value: PgClient, enumerable: true } });
		}

		override async _acquireOnlyConnection(): Promise<Connection> {
			const { createTimeoutMillis = DEFAULT_CREATE_TIMEOUT_MILLIS } = this.config.pool ?? {};
			// Knex passes on what a `connection` function gives, a url too.
			const given: string | PgClientConfig = this.connectionSettings;
			const settings: PgClientConfig = typeof given === "string" ? { connectionString: given } : given;
			const pool = this.pool as TarnPool<Connection> | undefined;
			const opened = beginOpening(pool);
			const connection: Connection = new this.driver.Client({
				connectionTimeoutMillis: createTimeoutMillis,
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
