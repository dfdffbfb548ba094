/** Leaves a pool with an idle client behind at its end, and tells whether its socket keeps the process alive. */
import process from "node:process";
import { Pool } from "../../src/index.ts";

const allowExitOnIdle = process.argv[2] === "true";
const pool = new Pool({ connectionString: process.env["DATABASE_URL"], allowExitOnIdle, idleTimeoutMillis: 0, max: 1 });

await pool.query("select 1");
console.log("first");
await pool.query("select pg_sleep(0.1)");
console.log("second");
const client = await pool.connect();
await client.query("select pg_sleep(0.1)");
console.log("third");
client.release();
console.log(process.getActiveResourcesInfo().includes("TCPSocketWrap") ? "kept alive" : "free to go");
// Then the process exits without it, or not at all.
if (!allowExitOnIdle) await pool.end();
