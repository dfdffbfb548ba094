export { Client, type ClientConfig } from "./client.ts";
export { PgDriver, type PgDriverSettings } from "./driver.ts";
export type { PoolConfig } from "./options.ts";
export { Pool, type PoolClient } from "./pool.ts";
export { isTransient } from "./transient.ts";
