/** What the errors of MySQL, MariaDB and mysql2 mean for a pool. */
import { isNetworkError } from "@forksafe/core";

/**
 * The server is there, and refuses for now: it is full (1040), the user has all the connections that they may have (1203, and
 * 1226 for their own limit), it shuts down (1053).
 */
const PASSING = ["ER_CON_COUNT_ERROR", "ER_TOO_MANY_USER_CONNECTIONS", "ER_SERVER_SHUTDOWN"];
const LIMIT_REACHED = "ER_USER_LIMIT_REACHED";
/** Writing is refused: by `read_only`, or by the mode of the server. */
const READ_ONLY = /--(super-)?read-only|read[ _]only (mode|option)/i;

/**
 * Whether a connect that has failed may well succeed soon, without anybody's doing.
 *
 * - Always: the server answers, and refuses for now: too many connections (1040, 1203, 1226 for max_user_connections), shutting
 *   down (1053).
 * - Once the pool has connected: nobody is there (ECONNREFUSED and its like, a socket that is closed before the server has
 *   answered).
 * - Never: what only a human can mend (1045 password, 1049 database, TLS, a name that does not resolve).
 *
 * @param hasConnected whether this pool has ever connected
 */
export function isTransient(error: unknown, hasConnected: boolean): boolean {
	const { code, message } = detailsOf(error);
	if (PASSING.includes(code)) return true;
	if (code === LIMIT_REACHED) return message.includes("max_user_connections");
	return hasConnected && (code === "PROTOCOL_CONNECTION_LOST" || isNetworkError(error));
}

/** Whether an error means that the server shuts down, or is no longer the primary: its other connections are of no use either. */
export function concernsServer(error: unknown): boolean {
	const { code, message } = detailsOf(error);
	if (code === "ER_SERVER_SHUTDOWN" || code === "ER_READ_ONLY_MODE") return true;
	return code === "ER_OPTION_PREVENTS_STATEMENT" && READ_ONLY.test(message);
}

function detailsOf(error: unknown): { code: string; message: string } {
	if (typeof error !== "object" || error === null) return { code: "", message: "" };
	const { code, message } = error as { code?: unknown; message?: unknown };
	return { code: typeof code === "string" ? code : "", message: typeof message === "string" ? message : "" };
}
