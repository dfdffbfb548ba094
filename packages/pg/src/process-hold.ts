import type { Client } from "./client.ts";

/** The client keeps the process alive. */
export function ref(client: Client): void {
	if (isReferable(client)) client.ref();
}

/** The client lets the process exit. */
export function unref(client: Client): void {
	if (isReferable(client)) client.unref();
}

/** A stream of the application's own need not be a socket. */
function isReferable(client: Client): boolean {
	const { ref, unref } = client.connection.stream as { ref?: unknown; unref?: unknown };
	return typeof ref === "function" && typeof unref === "function";
}
