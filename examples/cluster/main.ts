/** The primary: looks after the workers, and uses the database itself. */
import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { shutDownWhenAsked } from "../shutdown.ts";
import { createTables } from "./database.ts";

const { WORKERS = "15" } = process.env;
let isStopping = false;

// The primary has a connection when it starts the workers. They are new processes, not copies: none of them gets it.
await createTables();

cluster.setupPrimary({ exec: fileURLToPath(new URL("./server.ts", import.meta.url)) });
for (let started = 0; started < Number(WORKERS); started++) cluster.fork();
cluster.on("exit", (worker, code, signal) => {
	if (isStopping) return;
	console.log(`worker ${worker.process.pid} has ended (${signal ?? code}): starting another`);
	cluster.fork();
});

async function finishWork(): Promise<void> {
	isStopping = true;
	const ended = workers().map((worker) => once(worker, "exit"));
	cluster.disconnect();
	await Promise.all(ended);
}
shutDownWhenAsked(finishWork);
// Who is still there had something to do that never let it hear of the end.
process.on("exit", () => workers().forEach((worker) => void worker.process.kill("SIGKILL")));

const listening = await Promise.all(workers().map((worker) => once(worker, "listening")));
console.log(`primary ${process.pid}: ${WORKERS} workers on http://127.0.0.1:${listening[0]?.[0].port}`);

function workers(): Worker[] {
	return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
}
