/** The Knex versions that are supported, each as it is and with our client: what Knex documents is expected of all four. */
import { createRequire } from "node:module";
import knex, { type Knex } from "knex";
import knexOf31 from "knex-3.1";
import { ForkSafePostgres, forkSafe, type KnexClientClass } from "../../src/index.ts";
import { type Database, open, openOver } from "./database.ts";

const require = createRequire(import.meta.url);

/** Knex 3.1, which is declared by types of its own. */
export const knex31 = knexOf31 as unknown as typeof knex;

/** A client class of Knex 3.1. */
export function dialectOf31(name: "postgres" | "cockroachdb" | "redshift" | "pgnative" | "mysql2"): KnexClientClass {
	return require(`knex-3.1/lib/dialects/${name}/index.js`);
}

/** A Knex under test. */
export interface Subject {
	readonly name: string;
	readonly version: "3.3" | "3.1";
	readonly isOurs: boolean;
	readonly open: (config?: Knex.Config) => Database;
	/** Over a pool that somebody else has made. */
	readonly openOver: (connectionPool: NonNullable<Knex.Config["connectionPool"]>) => Knex;
}

export const subjects: readonly Subject[] = [
	subject("Knex 3.3", knex, "pg"),
	subject("forksafe over Knex 3.3", knex, ForkSafePostgres),
	subject("Knex 3.1", knex31, "pg"),
	subject("forksafe over Knex 3.1", knex31, forkSafe(dialectOf31("postgres"))),
];

/** Ours alone. */
export const guarded = subjects.filter(({ isOurs }) => isOurs);

function subject(name: string, make: typeof knex, client: "pg" | KnexClientClass): Subject {
	return {
		name,
		version: make === knex ? "3.3" : "3.1",
		isOurs: client !== "pg",
		open: (config) => open({ client, pool: { min: 0, max: 2 }, ...config }, make),
		openOver: (connectionPool) => openOver({ client, connectionPool }, make).db,
	};
}
