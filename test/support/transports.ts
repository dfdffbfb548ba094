import pg from "pg";

/** What a server said about itself, and the further ways to it. */
export interface Transports {
	readonly version: string;
	readonly unixSocketUrl?: string;
	readonly tlsUrl?: string;
}

/**
 * Finds out by connecting which other transports the server behind this url offers to this machine.
 *
 * @throws Error when the url itself leads nowhere.
 */
export async function offeredTransports(url: string): Promise<Transports> {
	const server = await identify(url);
	if (server === undefined) throw new Error("no PostgreSQL at the given url");
	const { host, port, version } = server;
	if (host.startsWith("/")) return { version, unixSocketUrl: url };

	const tlsUrl = at(url, { host, port, sslmode: "no-verify" });
	const sockets = server.socketDirectories.map((directory) => at(url, { host: directory, port: server.ownPort }));
	const unixSocketUrl = await firstOf(sockets, async (socket) => (await identify(socket))?.identity === server.identity);
	return {
		version,
		...(unixSocketUrl !== undefined && { unixSocketUrl }),
		...((await identify(tlsUrl))?.encrypted && { tlsUrl }),
	};
}

interface Identity {
	readonly host: string;
	readonly port: number;
	/** The port it listens on itself, whatever forwards to it. */
	readonly ownPort: number;
	readonly version: string;
	/** Tells this server from another one behind the same path. */
	readonly identity: string;
	readonly socketDirectories: readonly string[];
	readonly encrypted: boolean;
}

const question = `
	select version, "ownPort", identity, sockets,
		coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted
	from (select current_setting('server_version') as version, current_setting('port')::int as "ownPort",
		pg_postmaster_start_time()::text || current_setting('data_checksums') as identity,
		case when pg_has_role('pg_read_all_settings', 'member')
			then current_setting('unix_socket_directories') else '' end as sockets) as server`;

type Answer = Pick<Identity, "version" | "ownPort" | "identity" | "encrypted"> & { readonly sockets: string };

async function identify(url: string): Promise<Identity | undefined> {
	const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
	client.on("error", () => {});
	try {
		await client.connect();
		const { rows } = await client.query<Answer>(question);
		const [answer] = rows;
		if (!answer) return undefined;
		const socketDirectories = answer.sockets.split(",").map((path) => path.trim());
		const { host, port } = client;
		return { ...answer, host, port, socketDirectories: socketDirectories.filter((path) => path.startsWith("/")) };
	} catch {
		return undefined;
	} finally {
		await client.end().catch(() => {});
	}
}

function at(url: string, { host, port, sslmode }: { host: string; port: number; sslmode?: string }): string {
	const { user, password, database } = new pg.Client(url);
	const credentials = [user ?? "", password ?? ""].map(encodeURIComponent).join(":");
	// pg and libpq both take a percent-encoded directory for a host.
	const location = `${encodeURIComponent(host)}:${port}/${encodeURIComponent(database ?? "")}`;
	return `postgres://${credentials}@${location}${sslmode ? `?sslmode=${sslmode}` : ""}`;
}

async function firstOf<T>(candidates: readonly T[], test: (candidate: T) => Promise<boolean>): Promise<T | undefined> {
	for (const candidate of candidates) if (await test(candidate)) return candidate;
	return undefined;
}
