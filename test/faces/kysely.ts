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
		return isProtected ? ours(options) : plain(options);
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

type Opened = ReturnType<KyselyDialect["open"]>;

function ours({ url, ...options }: OpenOptions): Opened {
	const pool = new Pool({ connectionString: url, ...options });
	return opened(new ForkSafePostgresDialect({ pool, cursor: Cursor }), pool);
}

/** Kysely's own dialect over our pool holds the whole contract, too. */
export const kyselyOwnDialect: KyselyDialect = {
	...kyselyPostgres,
	open(isProtected, { url, ...options }) {
		if (!isProtected) return kyselyPostgres.open(isProtected, { url, ...options });
		const pool = new Pool({ connectionString: url, ...options });
		return opened(new PostgresDialect({ pool, cursor: Cursor }), pool);
	},
};

function plain({ url, max, min, idleTimeoutMillis }: OpenOptions): Opened {
	const pool = new pg.Pool({ connectionString: url, max, min, idleTimeoutMillis });
	pool.on("error", () => {});
	return opened(new PostgresDialect({ pool, cursor: Cursor }), pool);
}

function opened(dialect: Dialect, pool: pg.Pool): Opened {
	return {
		dialect,
		pool: {
			counts: () => ({ used: pool.totalCount - pool.idleCount, idle: pool.idleCount, pending: pool.waitingCount }),
			onceAcquired: (listener) => void pool.once("acquire", listener),
			end: (connection) => (connection as pg.Client).end(),
		},
	};
}

const server = { library: "kysely", server: postgresView } as const;
const own = { name: "Kysely's own dialect", isProtected: true, library: "kysely-own", server: postgresView } as const;

export const kyselyFace = kyselyFaceOver(kyselyPostgres, { name: "Kysely", isProtected: true, ...server });
export const plainKyselyFace = kyselyFaceOver(kyselyPostgres, { name: "plain Kysely", isProtected: false, ...server });
export const kyselyOwnDialectFace = kyselyFaceOver(kyselyOwnDialect, own);
