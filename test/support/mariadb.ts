import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createConnection } from "mysql2/promise";
import { installed } from "./debian-package.ts";
import type { Transport } from "./server-urls.ts";
import {
	freePort,
	giveTo,
	type Keeper,
	keep,
	type Owner,
	run,
	serverEnvironment,
	serverOwner,
	shortDirectory,
	writeCertificate,
} from "./throw-away.ts";
import { untilTrue } from "./until-true.ts";

type Settings = Readonly<Record<string, string | number>>;

/** A running MariaDB, and the ways to it. */
export interface MariadbServer {
	readonly version: string;
	/** `mysql://` urls, as mysql2 and Knex read them. */
	readonly urls: Readonly<Record<Transport, string>>;
	/** Ends it, and removes its files. */
	readonly stop: () => Promise<void>;
}

const name = "forksafe";
const PACKAGE = {
	name: "mariadb-server",
	binaries: ["/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd", "/usr/bin/mariadbd", "/usr/local/bin/mariadbd"],
};

/**
 * Starts a throw-away MariaDB on a free port of 127.0.0.1, with Debian's `mariadb-server`, which is installed if it is missing:
 * user, password and database are `forksafe`. It ends with this process at the latest.
 *
 * @param settings of the server, beside those that every test needs
 * @throws Error with the server's own log, when it does not start; saying so, when it is missing and cannot be installed
 */
export async function startMariadb(settings: Settings = {}): Promise<MariadbServer> {
	const binary = await installed(PACKAGE);
	const owner = await serverOwner();
	const directory = await mkdtemp(join(await shortDirectory(owner), "forksafe-my-"));
	let keeper: Keeper | undefined;
	try {
		const port = await freePort();
		await writeCertificate(directory);
		await writeFile(join(directory, "init.sql"), INIT);
		if (owner) await giveTo(owner, directory);
		await initialise(directory, owner);
		start({ binary, directory, owner, port, settings });
		keeper = keep(END, directory, owner);
		const socket = encodeURIComponent(join(directory, "socket"));
		const ssl = encodeURIComponent(JSON.stringify({ rejectUnauthorized: false }));
		const url = `mysql://${name}:${name}@127.0.0.1:${port}/${name}`;
		const urls = {
			TCP: url,
			"a unix socket": `mysql://${name}:${name}@localhost/${name}?socketPath=${socket}`,
			TLS: `${url}?ssl=${ssl}`,
		};
		const version = await answering(url, directory);
		return { version, urls, stop: keeper.release };
	} catch (error) {
		await keeper?.release();
		await rm(directory, { recursive: true, force: true });
		throw error;
	}
}

/** Read line by line. */
const INIT = [
	`create database ${name};`,
	`create user ${name}@'%' identified by '${name}';`,
	`grant all on *.* to ${name}@'%' with grant option;`,
].join("\n");
/** It writes its pid, and removes it at its end. */
const END = 'kill -TERM "$(cat pid)"; while [ -e pid ]; do sleep 0.02; done';

async function initialise(directory: string, owner: Owner | undefined): Promise<void> {
	await run(
		"mariadb-install-db",
		[
			"--no-defaults",
			`--datadir=${directory}/data`,
			`--tmpdir=${directory}`,
			"--auth-root-authentication-method=normal",
			"--skip-test-db",
		],
		{ cwd: directory, env: serverEnvironment(), ...owner },
	);
}

interface Instance {
	readonly binary: string;
	readonly directory: string;
	readonly owner: Owner | undefined;
	readonly port: number;
	readonly settings: Settings;
}

function start({ binary, directory, owner, port, settings }: Instance): void {
	const all: Settings = {
		datadir: `${directory}/data`,
		// Each that starts removes what looks like a temporary table there, whosesoever it is.
		tmpdir: directory,
		socket: `${directory}/socket`,
		"pid-file": `${directory}/pid`,
		"log-error": `${directory}/log.err`,
		"init-file": `${directory}/init.sql`,
		"bind-address": "127.0.0.1",
		port,
		"ssl-cert": `${directory}/server.crt`,
		"ssl-key": `${directory}/server.key`,
		"max-connections": 200,
		"max-allowed-packet": "64M",
		"innodb-flush-log-at-trx-commit": 0,
		"innodb-buffer-pool-size": "64M",
		"skip-name-resolve": 1,
		...settings,
	};
	const args = ["--no-defaults", ...Object.entries(all).map(([key, value]) => `--${key}=${value}`)];
	spawn(binary, args, { cwd: directory, env: serverEnvironment(), detached: true, stdio: "ignore", ...owner }).unref();
}

/** @returns the version of the server, once it answers */
async function answering(url: string, directory: string): Promise<string> {
	let version = "";
	const asks = async (): Promise<boolean> => {
		try {
			const [row] = await askMariadb<{ version: string }>(url, "select version() as version");
			version = row?.version ?? "";
			return true;
		} catch {
			return false;
		}
	};
	try {
		await untilTrue(asks, { what: "MariaDB answers", deadlineMillis: 20_000 });
	} catch (error) {
		throw new Error(`MariaDB did not start:\n${await readFile(join(directory, "log.err"), "utf8").catch(() => "")}`, {
			cause: error,
		});
	}
	return version;
}

/** Connects anew for every question: a connection kept open would be copied by the next fork. */
export async function askMariadb<Row extends object>(url: string, sql: string, values: unknown[] = []): Promise<Row[]> {
	const connection = await createConnection(url);
	try {
		const [rows] = await connection.query(sql, values);
		return rows as Row[];
	} finally {
		await connection.end();
	}
}
