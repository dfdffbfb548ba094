/** Waits for a client that does not come, with nothing else to do, and tells what it hears. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import process from "node:process";
import pg from "pg";
import { untilTrue } from "../../../../test/support/until-true.ts";
import { Pool } from "../../src/index.ts";

const [pools, situation] = process.argv.slice(2);
const { hostname, port } = new URL(process.env["DATABASE_URL"] as string);

// A way to the server that can be closed, and that keeps no process alive.
const sockets: Socket[] = [];
let isSilent = false;
const gate = createServer((client) => {
	sockets.push(client.unref());
	if (isSilent) return;
	const server = connect(Number(port), hostname);
	for (const socket of [client, server]) sockets.push(socket.on("error", () => {}).unref());
	client.pipe(server).pipe(client);
});
gate.unref().listen(0, "127.0.0.1");
await once(gate, "listening");

const url = new URL(process.env["DATABASE_URL"] as string);
url.port = String((gate.address() as AddressInfo).port);
const pool = new (pools === "pg" ? pg.Pool : Pool)({ connectionString: url.href, max: 1, connectionTimeoutMillis: 500 });
pool.on("error", () => {});

const client = await pool.connect();
let hasEnded = false;
client
	.on("error", () => {})
	.once("end", () => {
		hasEnded = true;
	});
if (situation !== "all are held") client.release();
if (situation === "the server is silent") isSilent = true;
else gate.close();
for (const socket of sockets) socket.destroy();
await untilTrue(() => hasEnded, { what: "the client has lost its server" });
console.log("alone");
try {
	await pool.connect();
} catch (error) {
	console.log(`told: ${(error as Error).message}`);
}
