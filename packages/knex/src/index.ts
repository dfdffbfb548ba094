export { ForkSafePostgres, forkSafe } from "./fork-safe.ts";
export type { KnexClientClass } from "./knex-internals.ts";
export type { TarnPoolOptions } from "./tarn-options.ts";
export { TarnPool } from "./tarn-pool.ts";
