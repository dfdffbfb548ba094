/** The cases of `programs/forked-knex.ts` and `programs/forked-kysely.ts`: what the libraries document, in a parent and its forked child. */
export const forkedKnex = new URL("../programs/forked-knex.ts", import.meta.url);
export const forkedKysely = new URL("../programs/forked-kysely.ts", import.meta.url);
/** To be imported first by `forkedKysely`: which version FORKSAFE_KYSELY names. */
export const kyselyVersion = new URL("kysely-version.ts", import.meta.url);

const ofBothKnexes = [
	"transactions",
	"streams",
	"time-outs",
	"cancel",
	"schema",
	"migrations",
	"migrations without transactions",
	"migrations in flight",
	"migrations in flight, without transactions",
	"seeds",
	"search path",
	"settings that expire",
];
/** By version. Knex 3.1 has no `connectionPool`. */
export const knexCases = { "3.3": [...ofBothKnexes, "a pool of pg", "a pool that two share"], "3.1": ofBothKnexes } as const;

const ofBothKyselys = ["transactions", "streams", "hooks", "schema", "migrations", "migrations in flight", "destroy"];
/** By version. 0.28 has no signals, and cancels nothing. */
export const kyselyCases = { "0.29": [...ofBothKyselys, "cancel", "kill"], "0.28": ofBothKyselys } as const;
