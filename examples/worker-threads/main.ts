/** The main thread: starts the others, tells them to stop, and uses the database itself. */
import { once } from "node:events";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { shutDownWhenAsked, shutdownMillis } from "../shutdown.ts";
import { createTables } from "./database.ts";

const { THREADS = "4" } = process.env;
let done = 0;

await createTables();

const threads = Array.from({ length: Number(THREADS) }, () => new Worker(new URL("./thread.ts", import.meta.url)));
const ended = Promise.all(threads.map((thread) => once(thread, "exit")));
for (const thread of threads) thread.on("message", () => done++);

async function finishWork(): Promise<void> {
	for (const thread of threads) thread.postMessage("stop");
	await Promise.race([ended, delay(0.9 * shutdownMillis)]);
	// For those that compute and hear nothing. What they have not committed is rolled back.
	await Promise.all(threads.map((thread) => thread.terminate()));
	console.log(`${done} orders done by ${THREADS} threads`);
}
shutDownWhenAsked(finishWork);
