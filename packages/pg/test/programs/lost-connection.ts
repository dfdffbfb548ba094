/** Loses an idle connection while nobody listens for errors, and goes on. */
import process from "node:process";
import pg from "pg";
import { untilTrue } from "../../../../test/support/until-true.ts";
import { Pool } from "../../src/index.ts";

const connectionString = process.env["DATABASE_URL"];
const pool = new Pool({ connectionString });
const client = await pool.connect();
client.release();

const administrator = new pg.Client({ connectionString });
await administrator.connect();
await administrator.query("select pg_terminate_backend($1, 5000)", [client.processID]);
await administrator.end();

await untilTrue(() => pool.totalCount === 0, { what: "the connection was lost" });
console.log("lost");
await pool.query("select 1");
console.log("recovered");
await pool.end();
