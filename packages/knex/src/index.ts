export { ForkSafePostgres, forkSafe } from "./fork-safe.ts";
export type { KnexClientClass } from "./knex-internals.ts";
export { TarnPool, type TarnPoolOptions } from "./tarn-pool.ts";
