/** The parent: hands orders out to its workers, and uses the database itself. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { shutDownWhenAsked } from "../shutdown.ts";
import { createTables } from "./database.ts";

const { WORKERS = "4", ORDERS = "100" } = process.env;
const outcomes = new Map<string, string>();
let isStopping = false;

// The parent has a connection when it starts the workers. They are new processes, not copies: none of them gets it.
await createTables();

const workers = Array.from({ length: Number(WORKERS) }, () => fork(new URL("./worker.ts", import.meta.url)));
const ended = Promise.all(workers.map((worker) => once(worker, "exit")));

async function finishWork(): Promise<void> {
	isStopping = true;
	for (const worker of workers) if (worker.connected) worker.send("shutdown");
	await ended;
	const done = [...outcomes.values()].filter((outcome) => outcome === "done");
	console.log(`${done.length} of ${ORDERS} orders done by ${WORKERS} workers`);
}
shutDownWhenAsked(finishWork);

const orders = Array.from({ length: Number(ORDERS) }, () => crypto.randomUUID()).values();
for (const worker of workers) {
	worker.on("message", ({ id, outcome }: { id: string; outcome: string }) => {
		outcomes.set(id, outcome);
		handOut(worker);
	});
	handOut(worker);
}

/** One order at a time. A worker whose channel is closed ends by itself; when all have, nothing keeps the parent. */
function handOut(worker: ChildProcess): void {
	if (isStopping || !worker.connected) return;
	const { value: id } = orders.next();
	if (id === undefined) worker.disconnect();
	else worker.send(id);
}
