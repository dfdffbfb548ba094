/** Kysely over mysql2 and MariaDB. */
import { ForkSafeMysqlDialect } from "@forksafe/kysely/mysql";
import { createPool } from "@forksafe/mysql2";
import { MysqlDialect } from "kysely";
import mysql, { type PoolConnection } from "mysql2";
import type { Counts, OpenOptions } from "./face.ts";
import { type KyselyDialect, kyselyFaceOver } from "./kysely-dialect.ts";
import { MARIADB_STATEMENTS, mariadbView } from "./mariadb-view.ts";

export const kyselyMysql: KyselyDialect = {
	open(isProtected, options) {
		const { dialect, pool, counts } = isProtected ? ours(options) : plain(options);
		return {
			dialect,
			pool: {
				counts,
				onceAcquired: (listener) => void pool.once("acquire", listener),
				// `end()` of a pool's connection gives it back.
				end: (connection) => (connection as PoolConnection).destroy(),
			},
		};
	},
	statements: { ...MARIADB_STATEMENTS, numbers: "select seq as n from seq_1_to_20000" },
	numbers: 20_000,
};

interface Opened {
	readonly dialect: MysqlDialect;
	readonly pool: mysql.Pool;
	readonly counts: () => Counts;
}

function ours({ url, max, idleTimeoutMillis, ...options }: OpenOptions): Opened {
	const idle = idleTimeoutMillis === undefined ? {} : { idleTimeout: idleTimeoutMillis };
	const pool = createPool({ uri: url, connectionLimit: max, ...idle, ...options });
	const counts = (): Counts => {
		const { used, idle, pending } = pool.stats();
		return { used, idle, pending };
	};
	return { dialect: new ForkSafeMysqlDialect({ pool }), pool, counts };
}

function plain({ url, max }: OpenOptions): Opened {
	const pool = mysql.createPool({ uri: url, connectionLimit: max });
	pool.on("connection", (connection) => connection.on("error", () => {}));
	const { _allConnections: all, _freeConnections: free, _connectionQueue: queue } = pool as unknown as Record<string, unknown[]>;
	return {
		dialect: new MysqlDialect({ pool }),
		pool,
		counts: () => ({
			used: (all?.length ?? 0) - (free?.length ?? 0),
			idle: free?.length ?? 0,
			pending: queue?.length ?? 0,
		}),
	};
}

const server = { library: "kysely-mysql", server: mariadbView } as const;

export const kyselyMysqlFace = kyselyFaceOver(kyselyMysql, { name: "Kysely over MariaDB", isProtected: true, ...server });
export const plainKyselyMysqlFace = kyselyFaceOver(kyselyMysql, {
	name: "plain Kysely over MariaDB",
	isProtected: false,
	...server,
});
