import {
	concernsServer,
	end,
	type Guarded,
	giveUp,
	guard,
	isAlive,
	isTransient,
	ping,
	ref,
	unref,
} from "@forksafe/mysql2/connection";
import type { Connection as MysqlConnection } from "mysql2";
import type { DialectSupport, KnexClientConstructor } from "./dialect-support.ts";
import type { KnexConnection } from "./knex-internals.ts";
import { beginOpening, noteConnectError } from "./opening.ts";
import type { TarnPool } from "./tarn-pool.ts";

type Connection = MysqlConnection & Guarded & KnexConnection;

interface MysqlDriver {
	createConnection(settings: object): MysqlConnection;
}

/** Knex's dialect over mysql2, for MySQL and MariaDB. */
export const mysqlSupport: DialectSupport<Connection> = {
	driver: "mysql2",
	guarded,
	isAlive,
	ping,
	isTransient,
	ref,
	unref,
	giveUp,
	// Its queries tell (below), and what is said to an idle one ends that one.
	watchServers: () => () => {},
	isGuardedPool: () => false,
};

function guarded(Base: KnexClientConstructor): KnexClientConstructor {
	return class extends Base {
		override _driver(): object {
			const driver = super._driver() as MysqlDriver;
			const createConnection = (settings: object): Connection => {
				const pool = this.pool as TarnPool<Connection> | undefined;
				const opened = beginOpening(pool);
				const onCommandError = (error: Error): void => {
					if (concernsServer(error)) pool?.evict(connection);
				};
				const raw = driver.createConnection(settings);
				const connection = guard(raw, { processWatch: pool?.processWatch, onCommandError }) as Connection;
				stayQuiet(connection);
				opened(connection);
				return connection;
			};
			// No plain object: withUserParams copies those member by member.
			return Object.create(driver, { createConnection: { value: createConnection, enumerable: true } });
		}

		override acquireRawConnection(): Promise<KnexConnection> {
			return noteConnectError(() => super.acquireRawConnection());
		}

		/** Knex's own is over before the connection has ended, and takes off the listener that keeps its errors from ending the process. */
		override destroyRawConnection(connection: Connection): Promise<void> {
			return end(connection);
		}
	};
}

/** Knex takes all listeners off a connection that could not be opened: an error that still comes would end the process. */
function stayQuiet(connection: Connection): void {
	const ignore = (): void => {};
	connection.on("error", ignore);
	connection.on("removeListener", (event: string) => {
		if (event === "error" && connection.listenerCount("error") === 0) connection.on("error", ignore);
	});
}
