import type { Connection } from "mysql2";
import type { Guarded } from "./guard.ts";
import type { MysqlConnectionInternals } from "./mysql-internals.ts";

/** Whether a connected connection can still be used, as far as is known without asking the server. */
export function isAlive(connection: Connection): boolean {
	const { _fatalError, _protocolError, _closing, stream } = internals(connection);
	return !_fatalError && !_protocolError && _closing !== true && stream.writable;
}

/**
 * Asks the server whether an idle connection can be used, in one round trip (COM_PING). One that was given back while its
 * query runs is not asked: the answer would come after the query.
 *
 * @param signal aborted when the answer is not awaited any more: the socket is closed
 * @returns false when the answer is an error, or does not come
 */
export function ping(connection: Connection & Guarded, signal: AbortSignal): Promise<boolean> {
	const { promise, resolve } = Promise.withResolvers<boolean>();
	const inside = internals(connection);
	const onAbort = (): void => {
		giveUp(connection);
		resolve(false);
	};
	if (signal.aborted) {
		onAbort();
	} else if (inside._command || inside._commands.length > 0) {
		resolve(true);
	} else {
		signal.addEventListener("abort", onAbort, { once: true });
		inside.ping((error) => {
			signal.removeEventListener("abort", onAbort);
			resolve(!error);
		});
	}
	return promise;
}

/**
 * Ends a connection: by COM_QUIT, or at once when it can say nothing any more, because it is broken or inherited.
 *
 * @returns fulfilled when its socket is closed. mysql2's own `end()` is over as soon as COM_QUIT is written
 */
export async function end(connection: Connection & Guarded): Promise<void> {
	if (connection.isInherited()) return;
	const inside = internals(connection);
	const { stream, _realEnd = inside.end } = inside;
	if (stream.destroyed) return;
	const closed = new Promise<void>((resolve) => void stream.once("close", () => resolve()));
	if (isAlive(connection)) _realEnd.call(inside);
	else giveUp(connection);
	await closed;
}

/**
 * Closes the socket of a connection that nobody waits for any more, without a word to the server. Its queries fail; where nobody
 * listens for its errors, they are not thrown.
 */
export function giveUp(connection: Connection & Guarded): void {
	if (connection.isInherited()) return;
	const inside = internals(connection);
	clearTimeout(inside.connectTimeout ?? undefined);
	if (inside.listenerCount("error") === 0) inside.on("error", () => {});
	inside.stream.destroy();
}

/** The connection keeps the process alive. */
export function ref(connection: Connection): void {
	const { stream } = internals(connection);
	if (isReferable(stream)) stream.ref();
}

/** The connection lets the process exit. */
export function unref(connection: Connection): void {
	const { stream } = internals(connection);
	if (isReferable(stream)) stream.unref();
}

/** A stream of the application's own need not be a socket. */
function isReferable(stream: { ref?: unknown; unref?: unknown }): boolean {
	return typeof stream.ref === "function" && typeof stream.unref === "function";
}

function internals(connection: Connection): MysqlConnectionInternals {
	const inside: object = connection;
	return inside as MysqlConnectionInternals;
}
