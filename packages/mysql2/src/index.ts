export * from "./connection.ts";
export { createPool, type GetConnectionOptions, Pool, type PoolConnection } from "./pool.ts";
export type { PoolOptions } from "./pool-options.ts";
