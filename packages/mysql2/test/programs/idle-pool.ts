/** Leaves a pool with an idle connection behind at its end: `idle-pool.ts OPTIONS`. Says whether that kept it alive. */
import process from "node:process";
import { mariadbUrl } from "../../../../test/support/server-urls.ts";
import { createPool } from "../../src/index.ts";

const pool = createPool({ uri: mariadbUrl("TCP"), ...(JSON.parse(process.argv[2] ?? "{}") as object) });
await pool.promise().query("select 1");
console.log("asked");

// It does not keep the process alive by itself, and fires only where something else does.
setTimeout(() => {
	console.log("the loop is alive");
	process.exit();
}, 300).unref();
