/** A thread: places an order, and another, until it is told to stop. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, threadId } from "node:worker_threads";
import { currentGeneration } from "@forksafe/core";
import { shutDown, workerShutdownMillis } from "../shutdown.ts";
import { pool } from "./database.ts";

let isStopping = false;
console.log(`thread ${threadId}: pid ${process.pid}, ppid ${process.ppid}, generation ${currentGeneration()}`);

const work = keepOrdering();

// Signals, `disconnect` and PM2's message reach the main thread only. Here `process.exit()` ends the thread.
parentPort?.once("message", () => {
	isStopping = true;
	void shutDown(() => work, workerShutdownMillis);
});

async function keepOrdering(): Promise<void> {
	while (!isStopping) {
		await placeOrder(crypto.randomUUID());
		parentPort?.postMessage("done");
	}
}

async function placeOrder(id: string): Promise<void> {
	const client = await pool.connect();
	try {
		await client.query("begin");
		await client.query("insert into example_orders values ($1, $2)", [id, threadId]);
		await delay(50);
		await client.query("commit");
		client.release();
	} catch (error) {
		client.release(true); // closes it: the server rolls back
		throw error;
	}
}
