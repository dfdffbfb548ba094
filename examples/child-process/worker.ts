/** Executes the orders that its parent sends, and tells of each what has become of it. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { shutDownWhenAsked, workerShutdownMillis } from "../shutdown.ts";
import { db } from "./database.ts";

const underWay = new Set<Promise<void>>();
let isStopping = false;

process.on("message", (message: unknown) => {
	if (message === "shutdown") return;
	const work = execute(message as string).finally(() => underWay.delete(work));
	underWay.add(work);
});

shutDownWhenAsked(async () => {
	isStopping = true;
	await Promise.all(underWay);
}, workerShutdownMillis);

async function execute(id: string): Promise<void> {
	let outcome = "refused";
	if (!isStopping) {
		outcome = await placeOrder(id).then(
			() => "done",
			(error: Error) => error.message,
		);
	}
	if (process.connected) process.send?.({ id, outcome });
}

async function placeOrder(id: string): Promise<void> {
	await db.transaction().execute(async (trx) => {
		await trx.insertInto("example_orders").values({ id, worker: process.pid }).execute();
		await delay(50);
	});
}
