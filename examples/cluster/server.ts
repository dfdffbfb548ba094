/** A worker: streams big files, does work that needs a CPU of its own, and writes to the database. */
import { createReadStream } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import process from "node:process";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { closeServer } from "../close-server.ts";
import { shutDownWhenAsked, workerShutdownMillis } from "../shutdown.ts";
import { db } from "./database.ts";

const { PORT = "3000" } = process.env;

const server = createServer((request, response) => {
	const url = new URL(request.url ?? "/", "http://localhost");
	answer(url, response).catch((error: unknown) => {
		console.error(error);
		if (!response.headersSent) response.writeHead(500);
		response.end();
	});
});
server.listen(Number(PORT), "127.0.0.1");

shutDownWhenAsked(() => closeServer(server), workerShutdownMillis);

async function answer({ pathname, searchParams }: URL, response: ServerResponse): Promise<void> {
	if (pathname === "/file") {
		// A big file that every machine with Node has.
		await pipeline(createReadStream(process.execPath), response);
	} else if (pathname === "/primes") {
		response.end(`${countPrimes(Number(searchParams.get("below") ?? 100_000))}\n`);
	} else if (pathname === "/order") {
		await placeOrder(searchParams.get("id") ?? crypto.randomUUID(), Number(searchParams.get("millis") ?? 0));
		response.end(`worker ${process.pid}\n`);
	} else {
		response.writeHead(404).end();
	}
}

/** While it counts, this worker does nothing else; the others do. */
function countPrimes(below: number): number {
	let count = 0;
	for (let candidate = 2; candidate < below; candidate++) {
		let divisor = 2;
		while (divisor * divisor <= candidate && candidate % divisor !== 0) divisor++;
		if (divisor * divisor > candidate) count++;
	}
	return count;
}

/** A transaction that takes as long as it is told, for you to stop the server meanwhile. */
async function placeOrder(id: string, millis: number): Promise<void> {
	await db.transaction(async (trx) => {
		await trx("example_orders").insert({ id, worker: process.pid });
		await delay(millis);
		await trx.raw("select 1");
	});
}
