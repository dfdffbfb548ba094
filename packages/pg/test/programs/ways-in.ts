/**
 * `ways-in.ts OURS|PLAIN SERVER`: pools that reach a server in all the ways that pg knows, each used by a process and by a child
 * forked from it, at the same time. Reports as what the server knows both, for each way: `{ way, process, ...session }`.
 */
import { readFile } from "node:fs/promises";
import pg from "pg";
import { forkChild } from "../../../../test/support/fork.ts";
import { getpid } from "../../../../test/support/posix-fork.ts";
import { report } from "../../../../test/support/report.ts";
import { Pool, type PoolConfig } from "../../src/index.ts";

/** The server of the test, as its arguments tell it. */
export interface Server {
	readonly url: string;
	readonly unixSocketUrl: string;
	readonly caFile: string;
	readonly certified: { readonly role: string; readonly keyFile: string; readonly certFile: string };
}

const [mode, server] = process.argv.slice(2);
const { url, unixSocketUrl, caFile, certified } = JSON.parse(server ?? "") as Server;
const tcp = new URL(url);
const [user, password] = [tcp.username, tcp.password].map(decodeURIComponent) as [string, string];
const parts = { host: tcp.hostname, port: Number(tcp.port), user, password, database: tcp.pathname.slice(1) };
const directory = decodeURIComponent(new URL(unixSocketUrl).hostname);
const ca = await readFile(caFile, "utf8");

/** In the child, one variable is another one. */
const environment = {
	PGHOST: parts.host,
	PGPORT: tcp.port,
	PGUSER: user,
	PGPASSWORD: password,
	PGDATABASE: parts.database,
	PGSSLMODE: "no-verify",
	PGAPPNAME: "the parent",
};
let passwordsAsked = 0;

const ways: Record<string, PoolConfig> = {
	"the PG* variables": {},
	"options in parts": { ...parts, application_name: "parts" },
	"a postgres:// string": { connectionString: `${url}?application_name=a%20string&options=-c%20work_mem%3D123kB` },
	"a postgresql:// string with parts as parameters": {
		connectionString: `postgresql:///${parts.database}?host=${parts.host}&port=${parts.port}&user=${user}&password=${password}`,
	},
	"a unix socket in parts": { ...parts, host: directory },
	"a unix socket in a postgres:// string": { connectionString: unixSocketUrl },
	"a unix socket in a socket: string": {
		connectionString: `socket://${user}:${password}@${directory}?db=${parts.database}`,
		port: parts.port,
	},
	"a unix socket in a path": { connectionString: `${directory} ${parts.database}`, user, port: parts.port },
	"a certificate authority": { ...parts, ssl: { ca } },
	"a certificate authority in the string": { connectionString: `${url}?sslmode=verify-full&sslrootcert=${caFile}` },
	"a client certificate": {
		...parts,
		user: certified.role,
		password: undefined,
		ssl: { ca, key: await readFile(certified.keyFile, "utf8"), cert: await readFile(certified.certFile, "utf8") },
	},
	"a client certificate in the string": {
		connectionString:
			`postgres://${certified.role}@${tcp.host}/${parts.database}?sslmode=verify-full` +
			`&sslrootcert=${caFile}&sslcert=${certified.certFile}&sslkey=${certified.keyFile}`,
	},
	"a password that is asked for": { ...parts, password: () => given(password) },
	"a password that is asked for and comes later": { ...parts, password: async () => given(await Promise.resolve(password)) },
};
// pg would die of it.
if (mode === "OURS") ways["a name of the process"] = { ...parts, application_name: ({ pid }) => `process ${pid}` };

function given(secret: string): string {
	passwordsAsked++;
	return secret;
}

const WHO = `
	select pid as backend, usename as user, datname as database, application_name as name,
		client_addr is null as "byUnixSocket", ssl as encrypted, client_dn as certificate, current_setting('work_mem') as memory
	from pg_stat_activity join pg_stat_ssl using (pid) where pid = pg_backend_pid()`;

const pools = Object.entries(ways).map(([way, config]) => {
	const pool = mode === "OURS" ? new Pool(config) : new pg.Pool(config as pg.PoolConfig);
	pool.on("error", () => {});
	return [way, pool] as const;
});

async function visit(who: string, appName: string): Promise<void> {
	Object.assign(process.env, environment, { PGAPPNAME: appName });
	const [first, ...others] = pools.map(([way, pool]) => async () => {
		const session = await pool.query(WHO).then(
			({ rows }) => rows[0],
			({ message }: Error) => ({ error: message }),
		);
		report({ way, process: who, pid: getpid(), ...session });
	});
	// pg reads the variables when it makes a client; the other ways are to do without them.
	const asked = first?.();
	await asked;
	for (const name of Object.keys(environment)) delete process.env[name];
	await Promise.all(others.map((ask) => ask()));
	report({ way: "all", process: who, passwordsAsked });
}

await visit("before", "the parent");
const child = await forkChild("child", () => visit("child", "the child"), { deadlineMillis: 5_000 });
// Two copies of one connection wait for what the other one has read.
if (mode === "PLAIN") setTimeout(() => process.exit(), 1_500);
await visit("parent", "nobody");
await child.result.catch(() => {});
process.exit();
