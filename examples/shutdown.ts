/** How each of the examples ends: who can be done in time is not cut off, and the server is left with no session. */
import cluster from "node:cluster";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { suspendAll } from "@forksafe/core";

/** PM2 kills a process 1600 ms after it has asked it to end. */
export const shutdownMillis = Number(process.env["SHUTDOWN_MILLIS"] ?? 1_200);
/** For a process or thread that another one waits for. */
export const workerShutdownMillis = 0.8 * shutdownMillis;
/** For the connections that are ended at the deadline, to say so to the server. */
const closeMillis = 100;

/** Takes no more work, and resolves when all that is under way is done. */
export type FinishWork = () => Promise<unknown>;

/** Shuts down, once, when this process is asked to in one of the ways that there are. */
export function shutDownWhenAsked(finishWork: FinishWork, deadlineMillis = shutdownMillis): void {
	let isAsked = false;
	const ask = (reason: string): void => {
		if (isAsked) return;
		isAsked = true;
		console.log(`${process.pid} shuts down: ${reason}`);
		void shutDown(finishWork, deadlineMillis);
	};
	process.on("SIGTERM", ask); // systemd, Docker, Kubernetes
	process.on("SIGINT", ask); // PM2; and Ctrl-C, which reaches all processes of a terminal
	process.on("beforeExit", () => ask("nothing left to do"));
	if (process.channel === undefined) return;
	process.on("message", (message) => message === "shutdown" && ask("message")); // PM2 with shutdown_with_message
	// The parent has closed the channel, or is gone. A worker of cluster would exit at once, unless it was about to.
	process.prependListener("disconnect", () => {
		if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
		ask("disconnect");
	});
}

/** Shuts down now, and exits: in a worker thread the thread, else the process. */
export async function shutDown(finishWork: FinishWork, deadlineMillis = shutdownMillis): Promise<never> {
	const deadline = performance.now() + deadlineMillis;
	const left = (): number => Math.max(1, deadline - performance.now());
	try {
		const late = delay(deadlineMillis).then(() => console.error(`${process.pid} is still at work after ${deadlineMillis} ms`));
		await Promise.race([finishWork(), late]);
		// Every pool of this process: who has a connection may finish, who wants one is refused, and at the deadline the server
		// rolls back what is not committed.
		const closed = suspendAll({ deadlineMillis: left(), acquires: "reject" });
		await Promise.race([closed, delay(left() + closeMillis)]);
	} catch (error) {
		console.error(error);
		process.exitCode = 1;
	}
	process.exit();
}
