/** Leaves an idle connection behind at its end: `idle-at-the-end.ts TRANSPORT [ref|unref ...]`. Says whether that kept it alive. */
import process from "node:process";
import { createConnection } from "mysql2";
import { mariadbUrl, type Transport } from "../../../../test/support/server-urls.ts";
import { guard, ref, unref } from "../../src/index.ts";

const [transport, ...calls] = process.argv.slice(2);
const connection = guard(createConnection(mariadbUrl(transport as Transport)));
await connection.promise().query("select 1");
console.log("asked");
for (const call of calls) (call === "ref" ? ref : unref)(connection);

// It does not keep the process alive by itself, and fires only where something else does.
setTimeout(() => {
	console.log("the loop is alive");
	process.exit();
}, 300).unref();
