import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import { type Dialect, PostgresDialect } from "kysely";
import pg from "pg";
import Cursor from "pg-cursor";
import type { OpenOptions } from "./face.ts";
import { type KyselyDialect, kyselyFaceOver } from "./kysely-dialect.ts";
import { postgresView } from "./postgres-view.ts";
import { BACKEND, ECHO, INSERT, SLEEP } from "./statements.ts";

export const kyselyPostgres: KyselyDialect = {
	open(isProtected, options) {
		const { dialect, pool } = isProtected ? ours(options) : plain(options);
		return {
			dialect,
			pool: {
				counts: () => ({ used: pool.totalCount - pool.idleCount, idle: pool.idleCount, pending: pool.waitingCount }),
				onceAcquired: (listener) => void pool.once("acquire", listener),
				end: (connection) => (connection as pg.Client).end(),
			},
		};
	},
	statements: {
		echo: ECHO,
		insert: INSERT,
		sleep: SLEEP,
		backend: BACKEND,
		numbers: "select generate_series(1, 500) as n",
	},
	numbers: 500,
};

function ours({ url, ...options }: OpenOptions): { dialect: Dialect; pool: pg.Pool } {
	const pool = new Pool({ connectionString: url, ...options });
	return { dialect: new ForkSafePostgresDialect({ pool, cursor: Cursor }), pool };
}

function plain({ url, max, min, idleTimeoutMillis }: OpenOptions): { dialect: Dialect; pool: pg.Pool } {
	const pool = new pg.Pool({ connectionString: url, max, min, idleTimeoutMillis });
	pool.on("error", () => {});
	return { dialect: new PostgresDialect({ pool, cursor: Cursor }), pool };
}

const server = { library: "kysely", server: postgresView } as const;

export const kyselyFace = kyselyFaceOver(kyselyPostgres, { name: "Kysely", isProtected: true, ...server });
export const plainKyselyFace = kyselyFaceOver(kyselyPostgres, { name: "plain Kysely", isProtected: false, ...server });
