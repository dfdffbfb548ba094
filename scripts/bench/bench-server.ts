import { startEmbeddedServer } from "../../test/support/embedded-server.ts";
import { offeredTransports } from "../../test/support/transports.ts";

/** A way to the server. */
export interface Place {
	readonly title: string;
	readonly url: string;
}

export type Transport = "unixSocket" | "tcp" | "tls";

/** The ways to a PostgreSQL of our own. */
export interface BenchServer extends Readonly<Record<Transport, Place>> {
	readonly version: string;
}

/** For as long as the body runs. */
export async function withServer<T>(maxConnections: number, body: (server: BenchServer) => Promise<T>): Promise<T> {
	const server = await startEmbeddedServer({ maxConnections, tls: true, unixSocket: true, trustsUnixSocket: true });
	try {
		const { version, unixSocketUrl, tlsUrl } = await offeredTransports(server.url);
		if (unixSocketUrl === undefined || tlsUrl === undefined) throw new Error("the server does not offer every transport");
		return await body({
			version,
			unixSocket: { title: "trust, unix socket", url: unixSocketUrl },
			tcp: { title: "SCRAM, TCP", url: server.url },
			tls: { title: "SCRAM, TLS", url: tlsUrl },
		});
	} finally {
		await server.stop();
	}
}
