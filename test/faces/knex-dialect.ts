/** The faces of Knex, over whichever dialect. */
import knex, { type Knex } from "knex";
import type { Face, Held, OpenOptions, Subject } from "./face.ts";

/** What has to be known of what is below a Knex. */
export interface KnexDialect {
	/** For Knex's `client` option: ours, and Knex's own. */
	readonly clients: { readonly ours: typeof Knex.Client; readonly plain: string };
	/** With Knex's placeholders. */
	readonly statements: Readonly<Record<"echo" | "insert" | "sleep" | "backend", string>>;
	/** What a raw query was answered, in the column of this name. */
	answer(result: unknown): string;
	/** Ends a connection by its driver's own means. */
	end(connection: object): Promise<void>;
}

/** The face of ours, or of plain Knex with the defaults that the scenarios need. */
export function knexFaceOver(dialect: KnexDialect, face: Pick<Face, "name" | "library" | "isProtected" | "server">): Face {
	const open = (options: OpenOptions): Subject => subject(openKnex(face.isProtected, options, dialect), dialect);
	return {
		...face,
		open: face.isProtected
			? open
			: ({ url, max, min = 0, idleTimeoutMillis = 30_000 }) => open({ url, max, min, idleTimeoutMillis }),
	};
}

/** A Knex of ours, or a plain one. */
export function openKnex(isProtected: boolean, { url, ...pool }: OpenOptions, { clients }: KnexDialect): Knex {
	const client = isProtected ? clients.ours : clients.plain;
	return knex({ client, connection: url, pool: { min: 0, ...pool }, log: { warn() {} } });
}

function subject(db: Knex, dialect: KnexDialect): Subject {
	const { statements, answer } = dialect;
	return {
		echo: async (text) => answer(await db.raw(statements.echo, [text])),
		insert: async (key) => void (await db.raw(statements.insert, [key])),
		sleep: async (millis) => void (await db.raw(statements.sleep, [millis])),
		hold: async () => held(db, (await db.client.acquireConnection()) as object, dialect),
		counts: () => {
			const { pool } = db.client;
			// destroy() takes the pool away.
			if (pool === undefined) return { used: 0, idle: 0, pending: 0 };
			return { used: pool.numUsed(), idle: pool.numFree(), pending: pool.numPendingAcquires() };
		},
		end: () => db.destroy(),
	};
}

function held(db: Knex, connection: object, { statements, answer, end }: KnexDialect): Held {
	const ask = async (statement: string, values: string[]): Promise<unknown> => db.raw(statement, values).connection(connection);
	return {
		raw: connection,
		backend: async () => answer(await ask(statements.backend, [])),
		echo: async (text) => answer(await ask(statements.echo, [text])),
		insert: async (key) => void (await ask(statements.insert, [key])),
		end: () => end(connection),
		release: () => db.client.releaseConnection(connection),
	};
}
