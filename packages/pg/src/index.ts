export { Client, type ClientConfig } from "./client.ts";
export { PgDriver, type PgDriverSettings } from "./driver.ts";
export { isAlive, ping } from "./liveness.ts";
export type { PoolConfig } from "./options.ts";
export { type ConnectOptions, Pool, type PoolClient } from "./pool.ts";
export { ref, unref } from "./process-hold.ts";
export { ServerWatch } from "./server-watch.ts";
export { isTransient } from "./transient.ts";
