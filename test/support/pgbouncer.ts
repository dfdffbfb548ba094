import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { consoleUrl } from "../faces/pgbouncer-view.ts";
import { ask } from "../faces/postgres-view.ts";
import { installed } from "./debian-package.ts";
import { freePort, giveTo, keep, run, serverEnvironment, serverOwner, shortDirectory } from "./throw-away.ts";
import { untilTrue } from "./until-true.ts";

/** What stands in `pgbouncer.ini`. */
export type PgBouncerSettings = Readonly<Record<string, string | number>>;

/** A running PgBouncer. */
export interface PgBouncer {
	/** `1.18.0` */
	readonly version: string;
	/** Of the database behind it. */
	readonly url: string;
	/** Says one command to its admin console (`PAUSE`, `SHOW CLIENTS`), on a connection of its own. */
	readonly command: <Row extends object>(command: string) => Promise<Row[]>;
	/** Changes settings, and has them read. */
	readonly reload: (settings: PgBouncerSettings) => Promise<void>;
	/** Sends it a signal, and waits until it has gone. A SIGKILL is a crash. */
	readonly end: (signal: NodeJS.Signals) => Promise<void>;
	/** Starts it again on the same port, once it has gone. */
	readonly restart: () => Promise<void>;
	/** Ends it at once, and removes its files. */
	readonly stop: () => Promise<void>;
}

const PACKAGE = { name: "pgbouncer", binaries: ["/usr/sbin/pgbouncer", "/usr/local/bin/pgbouncer", "/usr/bin/pgbouncer"] };
/** Where it has gone already there is no file, and `kill` fails. */
const END = 'kill -KILL "$(cat pid)"; while kill -0 "$(cat pid)"; do sleep 0.02; done';
const SETTINGS: PgBouncerSettings = {
	listen_addr: "127.0.0.1",
	unix_socket_dir: "",
	// Each login by SCRAM takes PgBouncer, which has one thread, some milliseconds.
	auth_type: "md5",
	auth_file: "users",
	pidfile: "pid",
	logfile: "log",
	pool_mode: "transaction",
	default_pool_size: 4,
	max_client_conn: 500,
	server_tls_sslmode: "prefer",
	// A test that has to wait for it would wait for 15 s.
	server_login_retry: 1,
};

/**
 * Starts a throw-away PgBouncer on a free port of 127.0.0.1, in transaction mode, with 4 server connections: Debian's package,
 * which is installed if it is missing. User, password and database are those of the url. It ends with this process at the latest.
 *
 * @param url of the PostgreSQL behind it
 * @param settings other than those that every test needs
 * @throws Error with its own log, when it does not start; saying so, when it is missing and cannot be installed
 */
export async function startPgBouncer(url: string, settings: PgBouncerSettings = {}): Promise<PgBouncer> {
	const binary = await installed(PACKAGE);
	const [, version = ""] = /PgBouncer (\S+)/.exec((await run(binary, ["--version"])).stdout) ?? [];
	const owner = await serverOwner();
	const directory = await mkdtemp(join(await shortDirectory(owner), "forksafe-pb-"));
	const keeper = keep(END, directory, owner);
	const port = await freePort();
	const { user = "", password = "", database, host, port: serverPort } = new pg.Client(url);
	const through = at(url, port);
	const console = consoleUrl(through);

	const configure = async (more: PgBouncerSettings): Promise<void> => {
		const all = { ...SETTINGS, listen_port: port, admin_users: user, ...settings, ...more };
		const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
		// By its name: a database that `*` has brought connects anew with every RELOAD.
		const databases = [database, "*"].map((name) => `${name} = host=${host} port=${serverPort}`);
		const ini = ["[databases]", ...databases, "[pgbouncer]", ...lines, ""].join("\n");
		await writeFile(join(directory, "pgbouncer.ini"), ini);
	};
	let gone = Promise.resolve();
	let pid: number | undefined;
	const start = async (): Promise<void> => {
		const bouncer = spawn(binary, ["--quiet", "pgbouncer.ini"], {
			cwd: directory,
			env: serverEnvironment(),
			detached: true,
			stdio: "ignore",
			...owner,
		});
		bouncer.unref();
		pid = bouncer.pid;
		gone = new Promise((resolve) => {
			bouncer.once("exit", () => {
				// The keeper must not take another process for it.
				rmSync(join(directory, "pid"), { force: true });
				resolve();
			});
		});
		await answering(console, directory);
	};
	try {
		await configure({});
		await writeFile(join(directory, "users"), `"${user}" "${password}"\n`);
		if (owner) await giveTo(owner, directory);
		await start();
	} catch (error) {
		await keeper.release();
		await rm(directory, { recursive: true, force: true });
		throw error;
	}
	return {
		version,
		url: through,
		command: (command) => ask(console, command),
		async reload(more) {
			await configure(more);
			await ask(console, "RELOAD");
		},
		async end(signal) {
			if (pid !== undefined) process.kill(pid, signal);
			let hasGone = false;
			void gone.then(() => {
				hasGone = true;
			});
			await untilTrue(() => hasGone, { what: `PgBouncer has gone by ${signal}`, deadlineMillis: 10_000 });
		},
		restart: start,
		stop: keeper.release,
	};
}

function at(url: string, port: number): string {
	const { user, password, database } = new pg.Client(url);
	const [name, secret, own] = [user, password, database].map((part) => encodeURIComponent(part ?? ""));
	return `postgres://${name}:${secret}@127.0.0.1:${port}/${own}`;
}

async function answering(console: string, directory: string): Promise<void> {
	const answers = (): Promise<boolean> =>
		ask(console, "SHOW VERSION").then(
			() => true,
			() => false,
		);
	try {
		await untilTrue(answers, { what: "PgBouncer answers", deadlineMillis: 10_000 });
	} catch (error) {
		throw new Error(`PgBouncer did not start:\n${await readFile(join(directory, "log"), "utf8").catch(() => "")}`, {
			cause: error,
		});
	}
}
