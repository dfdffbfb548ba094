/** How each of the examples ends: nobody is cut off who can be done in time, and the server is left with no session. */
import cluster from "node:cluster";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

/** Less than the 1600 ms after which PM2 kills a process that it has asked to end. */
export const shutdownMillis = Number(process.env["SHUTDOWN_MILLIS"] ?? 1_400);

/** What there is to end. */
export interface ShutdownOptions {
	/** Takes no more work, and resolves when all that is under way is done. */
	readonly finishWork: () => Promise<unknown>;
	/** Closes the connections. */
	readonly endPools: () => Promise<unknown>;
	/** So long both may take. @default shutdownMillis */
	readonly deadlineMillis?: number;
}

/** Shuts down, once, when this process is asked to in one of the ways that there are. */
export function shutDownWhenAsked(options: ShutdownOptions): void {
	let isAsked = false;
	const ask = (reason: string): void => {
		if (isAsked) return;
		isAsked = true;
		console.log(`${process.pid} shuts down: ${reason}`);
		void shutDown(options);
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
export async function shutDown({ finishWork, endPools, deadlineMillis = shutdownMillis }: ShutdownOptions): Promise<never> {
	const inOrder = async (): Promise<void> => {
		await finishWork();
		await endPools();
	};
	// What is not committed by then is rolled back by the server, as when a process dies.
	const late = delay(deadlineMillis).then(() => console.error(`${process.pid} is still at work after ${deadlineMillis} ms`));
	await Promise.race([inOrder(), late]).catch((error: unknown) => {
		console.error(error);
		process.exitCode = 1;
	});
	process.exit();
}
