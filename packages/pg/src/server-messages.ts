/**
 * An error or a notice of the server, as pg gives it. In an immediate shutdown and after a crash, what says that the session
 * ends is a warning.
 */
export interface ServerMessage {
	/** Can be translated. */
	readonly severity?: string | undefined;
	readonly code?: string | undefined;
	readonly message?: string | undefined;
}

/** SQLSTATEs after which the server closes: it shuts down, crashes, or has lost patience. */
const ENDS_SESSION = /^(57P0[1-5]|25P03)$/;
/** The SQLSTATE of a write that is refused: by a standby, by the server's settings, or because of the transaction. */
export const READ_ONLY = "25006";
const LEAVES = /^57P0[123]$/;

/**
 * Whether the server ends the session with this. Class 08 does not say so by itself: 08P01 is also the answer to a
 * statement with too few parameters, and 08001 that of a foreign server.
 */
export function endsSession(message: ServerMessage): boolean {
	return isFatal(message) || ENDS_SESSION.test(message.code ?? "");
}

/**
 * Whether the other sessions of this server are of no use any more either: it shuts down or has crashed, or it is not the
 * primary. (One session that an administrator ends cannot be told from a shutdown.)
 *
 * @param isReadOnly whether the server refuses writes, as it has reported. Without a report it may
 */
export function concernsServer(message: ServerMessage, isReadOnly: boolean | undefined): boolean {
	const { code = "", message: text = "" } = message;
	if (code === READ_ONLY) return isReadOnly !== false;
	if (LEAVES.test(code)) return true;
	// PgBouncer ends a client that is idle or waits too long with 08P01, and means that client alone.
	return code.startsWith("08") && isFatal(message) && !text.includes("timeout");
}

function isFatal({ severity }: ServerMessage): boolean {
	return severity === "FATAL" || severity === "PANIC";
}
