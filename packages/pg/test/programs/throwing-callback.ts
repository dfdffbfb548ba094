/** Throws in a callback of the method that is named, of the pool that is named, and tells where the error arrives. */
import process from "node:process";
import pg from "pg";
import { Pool } from "../../src/index.ts";

const [pools, method] = process.argv.slice(2);
const pool = new (pools === "pg" ? pg.Pool : Pool)({ connectionString: process.env["DATABASE_URL"], max: 1 });

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
	process.on(event, (error: Error) => {
		console.log(`${event}: ${error.message}`);
		if (method !== "end") void pool.end();
	});
}

function fail(): never {
	throw new Error(`thrown in a callback of ${method}`);
}

if (method === "end") pool.end(fail);
else if (method === "query") pool.query("select 1", fail);
else {
	pool.connect((_error, _client, done) => {
		done();
		fail();
	});
}
