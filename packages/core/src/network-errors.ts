/** ENOTFOUND is none of them: that name was never known. */
const GONE = [
	"ECONNREFUSED",
	"ECONNRESET",
	"ECONNABORTED",
	"EPIPE",
	"ETIMEDOUT",
	"EHOSTDOWN",
	"EHOSTUNREACH",
	"ENETDOWN",
	"ENETUNREACH",
	"EAI_AGAIN",
];

/**
 * Whether a connect has failed because the network, or whoever listened there, has gone: ECONNREFUSED, ECONNRESET, ETIMEDOUT,
 * EAI_AGAIN and their like, ENOENT of a unix socket. Of several addresses, one that may answer soon is enough.
 */
export function isNetworkError(error: unknown): boolean {
	if (typeof error !== "object" || error === null) return false;
	if (error instanceof AggregateError) return error.errors.some(isNetworkError);
	const { code, syscall } = error as { code?: unknown; syscall?: unknown };
	return typeof code === "string" && (GONE.includes(code) || (code === "ENOENT" && syscall === "connect"));
}
