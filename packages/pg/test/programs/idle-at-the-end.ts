/** Leaves a pool with an idle client behind at its end, and tells whether its socket keeps the process alive. */
import process from "node:process";
import { Pool } from "../../src/index.ts";

const [allowExitOnIdle] = process.argv.slice(2);
const pool = new Pool({
	connectionString: process.env["DATABASE_URL"],
	idleTimeoutMillis: 300,
	max: 1,
	...(allowExitOnIdle !== undefined && { allowExitOnIdle: allowExitOnIdle === "true" }),
});
pool.on("remove", () => console.log("closed"));

await pool.query("select 1");
console.log("first");
await pool.query("select pg_sleep(0.1)");
console.log("second");
const client = await pool.connect();
await client.query("select pg_sleep(0.1)");
console.log("third");
client.release();
console.log(process.getActiveResourcesInfo().includes("TCPSocketWrap") ? "kept alive" : "free to go");
