import { connect } from "node:net";
import { readMessages, sendMessage, type ToBudget, type ToProcess } from "./messages.ts";

/** How a process reaches the budget. */
export interface Link {
	send(message: ToBudget): void;
	/** Leaves it: what is held is given back. */
	close(): void;
	/** In a child of a fork: forgets it. Nothing is given back. */
	discard(): void;
	/** Whether it keeps the process alive. */
	hold(isNeeded: boolean): void;
}

/** What becomes of a link. */
export interface LinkEvents {
	opened(): void;
	received(message: ToProcess): void;
	/** It could not be opened, or has ended. */
	lost(reason: string): void;
}

/** Connects to the budget that listens there. */
export function linkTo(path: string, events: LinkEvents): Link {
	const socket = connect(path);
	let reason = "it has ended";
	socket.unref();
	socket.on("connect", events.opened);
	socket.on("error", (error) => {
		reason = error.message;
	});
	socket.on("close", () => events.lost(reason));
	readMessages(socket, events.received);
	return {
		send: (message) => sendMessage(socket, message),
		close: () => void socket.destroy(),
		discard: () => void socket.destroy(),
		hold: (isNeeded) => void (isNeeded ? socket.ref() : socket.unref()),
	};
}
