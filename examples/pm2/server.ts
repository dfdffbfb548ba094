/** One of the servers that PM2 looks after. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "@forksafe/pg";
import { closeServer } from "../close-server.ts";
import { shutDownWhenAsked } from "../shutdown.ts";

const { DATABASE_URL, PORT = "3000" } = process.env;
const pool = new Pool({ connectionString: DATABASE_URL, max: 3 });

const server = createServer((request, response) => {
	const { searchParams } = new URL(request.url ?? "/", "http://localhost");
	placeOrder(Number(searchParams.get("millis") ?? 0)).then(
		() => response.end(`${process.pid}\n`),
		(error: unknown) => {
			console.error(error);
			response.writeHead(500).end();
		},
	);
});

shutDownWhenAsked(() => closeServer(server));

await pool.query("create table if not exists example_orders (id text primary key, worker int not null)");
server.listen(Number(PORT), "127.0.0.1", () => {
	console.log(`${process.pid} listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
	process.send?.("ready");
});

/** A transaction that takes as long as it is told, for you to reload meanwhile. */
async function placeOrder(millis: number): Promise<void> {
	const client = await pool.connect();
	try {
		await client.query("begin");
		await client.query("insert into example_orders values (gen_random_uuid(), $1)", [process.pid]);
		await delay(millis);
		await client.query("commit");
		client.release();
	} catch (error) {
		client.release(true); // closes it: the server rolls back
		throw error;
	}
}
