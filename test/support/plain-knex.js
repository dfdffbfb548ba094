/** In place of `@forksafe/knex`: Knex's own client and pool. */
export const ForkSafePostgres = "pg";
