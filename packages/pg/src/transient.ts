/** Which failures of a connect pass without anybody's doing. */
import { isNetworkError } from "@forksafe/core";

/**
 * The server is there, and refuses for now: it is full (53300), it starts, stops or recovers (57P03), or it ended the session
 * while that was set up (57P01, 57P02).
 */
const PASSING = /^(53300|57P0[123])$/;
/** PgBouncer's 53300, 08P01 like all that it says itself (as of 1.25; its texts are not translated). */
const BOUNCER_IS_FULL = /^(no more connections allowed|client connections exceeded)/;
/** 08P01 of PgBouncer for what is wrong, and stays so; with the server's own text where that has refused PgBouncer. */
const BOUNCER_REFUSES = /authentication failed|does not exist|no such (database|user)|not allowed|unsupported|no pg_hba/i;
/** What pg says when the socket is closed before the server has answered. */
const CLOSED_EARLY = "Connection terminated unexpectedly";

/** Errors of the application's own functions: whatever code they have, it is not the server that has failed. */
const lasting = new WeakSet<object>();

/**
 * Whether a connect that has failed may well succeed soon, without anybody's doing.
 *
 * - Always: the server answers, and refuses for now: too many connections (53300, and PgBouncer's own words for it), starting
 *   up, shutting down or recovering (57P03, 57P01, 57P02); a unix socket whose queue is full (EAGAIN).
 * - Once the pool has connected: nobody is there (ECONNREFUSED, ECONNRESET, ETIMEDOUT, EAI_AGAIN and their like, ENOENT of a
 *   unix socket, class 08, a socket that is closed before the server has answered). A server that was there comes back. One
 *   that was never there is a wrong host or port, and whoever starts the application wants to hear that at once.
 * - Never: what only a human can mend (28P01, 28000, 3D000 and other refusals, TLS, a name that does not resolve), a time-out
 *   of ours, errors of `onConnect`, `verify` and `password` functions.
 *
 * Of several addresses, one that may answer soon is enough.
 *
 * @param hasConnected whether this pool has ever connected
 */
export function isTransient(error: unknown, hasConnected: boolean): boolean {
	if (typeof error !== "object" || error === null || lasting.has(error)) return false;
	if (error instanceof AggregateError) return error.errors.some((part) => isTransient(part, hasConnected));
	const { code = "", message = "", syscall } = error as { code?: unknown; message?: string; syscall?: string };
	if (typeof code !== "string") return false;
	if (PASSING.test(code) || (code === "08P01" && BOUNCER_IS_FULL.test(message))) return true;
	if (code === "EAGAIN" && syscall === "connect") return true;
	if (!hasConnected) return false;
	if (/^08...$/.test(code)) return !BOUNCER_REFUSES.test(message);
	return isNetworkError(error) || (code === "" && message === CLOSED_EARLY);
}

/** Says of an error that it is the application's own. @returns the error */
export function asLasting(error: unknown): unknown {
	if (typeof error === "object" && error !== null) lasting.add(error);
	return error;
}
