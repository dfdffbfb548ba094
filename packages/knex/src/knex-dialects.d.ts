declare module "knex/lib/dialects/index.js" {
	/** Loads one of Knex's own client classes. */
	export function getDialectByNameOrAlias(name: string): typeof import("knex").Knex.Client;
}
