import type { Socket } from "node:net";

/** What a process says. Numbers are changes, but for `holds`, which a process says once, when it comes. */
export interface ToBudget {
	/** So many permits it has already: the connection to the budget was lost for a while. */
	readonly holds?: number;
	/** So many more it waits for; below zero: so many less. */
	readonly asks?: number;
	/** So many it gives back. */
	readonly returns?: number;
}

/** What the budget says. */
export interface ToProcess {
	/** So many more permits it may hold. */
	readonly grants?: number;
	/** So many it may hold while others wait; null: as many as it has. */
	readonly keep?: number | null;
	/** So many of its connections that are idle for longer would be of use to others. */
	readonly spare?: number;
	/** So many it may hold when the budget is gone. */
	readonly share?: number;
}

/** Longer than any message. */
const MOST_UNREAD = 4_096;

/** One message a line. */
export function sendMessage(socket: Socket, message: ToBudget | ToProcess): void {
	if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** Hands each message to `receive`. What is none ends the connection. */
export function readMessages(socket: Socket, receive: (message: ToBudget & ToProcess) => void): void {
	let unread = "";
	socket.setEncoding("utf8");
	socket.on("data", (chunk: string) => {
		unread += chunk;
		for (let end = unread.indexOf("\n"); end >= 0; end = unread.indexOf("\n")) {
			const message = parsed(unread.slice(0, end));
			unread = unread.slice(end + 1);
			if (message === undefined) socket.destroy();
			if (socket.destroyed) return;
			receive(message as ToBudget & ToProcess);
		}
		if (unread.length > MOST_UNREAD) socket.destroy();
	});
}

function parsed(line: string): (ToBudget & ToProcess) | undefined {
	try {
		const message: unknown = JSON.parse(line);
		const isObject = typeof message === "object" && message !== null;
		return isObject && Object.values(message).every(isCount) ? message : undefined;
	} catch {
		return undefined;
	}
}

function isCount(value: unknown): boolean {
	return value === null || Number.isSafeInteger(value);
}
