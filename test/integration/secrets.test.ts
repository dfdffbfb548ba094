/** Whatever goes wrong, a password is in no error, warning, log line or event, and in nothing of ours that is inspected. */
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { afterFork, OptionError } from "@forksafe/core";
import { ForkSafePostgres, forkSafe } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { ForkSafeMysqlDialect } from "@forksafe/kysely/mysql";
import { Pool as MysqlPool } from "@forksafe/mysql2";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import { Kysely, sql } from "kysely";
import { ask } from "../faces/postgres-view.ts";
import { afterThisTest } from "../support/after-this-test.ts";
import { Eavesdropper } from "../support/eavesdropper.ts";
import { askMariadb } from "../support/mariadb.ts";
import { serverUrl } from "../support/pooled-faces.ts";
import { forkUnnoticed } from "../support/pretend-fork.ts";
import { mariadbUrl } from "../support/server-urls.ts";
import { untilTrue } from "../support/until-true.ts";

const PASSWORD = `S3cr3t/${randomBytes(6).toString("hex")}@+%?x`;
/** What it looks like in a url, in base64, and in the words of a user who has mistaken one thing for another. */
const SECRETS = [PASSWORD, encodeURIComponent(PASSWORD), Buffer.from(PASSWORD).toString("base64")];
const ROLE = `secretive_${randomBytes(4).toString("hex")}`;
const MILLIS = 300;

interface Settings {
	readonly log: (line: string) => void;
	readonly leakThresholdMillis: number;
}

interface Opened {
	/** What an application holds, and may print. */
	readonly objects: readonly object[];
	ask(): Promise<unknown>;
	/** @returns gives the connection back */
	hold(): Promise<() => unknown>;
	end(): Promise<unknown>;
}

interface Library {
	readonly name: string;
	readonly server: "PostgreSQL" | "MariaDB";
	open(url: string, settings: Settings): Opened;
	/** With an option that does not exist, and one that is wrong. */
	misspell(): unknown;
	mistake(url: string): unknown;
}

function openKnex(client: typeof Knex.Client, connection: string, pool: object): Opened {
	const db = knex({
		client,
		connection,
		pool: { min: 0, max: 1, acquireTimeoutMillis: MILLIS, ...pool },
		log: { warn() {}, error() {} },
	});
	return {
		objects: [db.client.pool],
		ask: () => db.raw("select 1 as one"),
		hold: async () => {
			const connection: unknown = await db.client.acquireConnection();
			return () => db.client.releaseConnection(connection);
		},
		end: () => db.destroy(),
	};
}

function openKysely(db: Kysely<object>, objects: object[]): Opened {
	return {
		objects: [...objects, db],
		ask: () => sql`select 1 as one`.execute(db),
		hold: async () => {
			const transaction = await db.startTransaction().execute();
			return () => transaction.rollback().execute();
		},
		end: () => db.destroy(),
	};
}

const limits = { max: 1, connectionTimeoutMillis: MILLIS };
const libraries: readonly Library[] = [
	{
		name: "pg Pool",
		server: "PostgreSQL",
		open: (connectionString, settings) => {
			const pool = new Pool({ connectionString, ...limits, ...settings });
			return {
				objects: [pool],
				ask: () => pool.query("select 1 as one"),
				hold: async () => {
					const client = await pool.connect();
					return () => client.release();
				},
				end: () => pool.end(),
			};
		},
		misspell: () => new Pool({ passwrod: PASSWORD } as object),
		mistake: (connectionString) => new Pool({ connectionString, max: -1 }),
	},
	{
		name: "Knex",
		server: "PostgreSQL",
		open: (url, settings) => openKnex(ForkSafePostgres, url, settings),
		misspell: () => knex({ client: ForkSafePostgres, connection: {}, pool: { passwrod: PASSWORD } as object }),
		mistake: (connection) => knex({ client: ForkSafePostgres, connection, pool: { max: -1 } }),
	},
	{
		name: "Kysely",
		server: "PostgreSQL",
		open: (connectionString, settings) => {
			const dialect = new ForkSafePostgresDialect({ pool: { connectionString, ...limits, ...settings } });
			return openKysely(new Kysely<object>({ dialect }), [dialect]);
		},
		misspell: () => new ForkSafePostgresDialect({ pool: { passwrod: PASSWORD } as object }),
		mistake: (connectionString) => new ForkSafePostgresDialect({ pool: { connectionString, max: -1 } }),
	},
	{
		name: "mysql2 Pool",
		server: "MariaDB",
		open: (uri, settings) => {
			const pool = new MysqlPool({ uri, connectionLimit: 1, connectTimeout: MILLIS, acquireTimeoutMillis: MILLIS, ...settings });
			return {
				objects: [pool, pool.promise()],
				ask: () => pool.promise().query("select 1 as one"),
				hold: async () => {
					const connection = await pool.promise().getConnection();
					return () => connection.release();
				},
				end: () => pool.promise().end(),
			};
		},
		misspell: () => new MysqlPool({ passwrod: PASSWORD } as object),
		mistake: (uri) => new MysqlPool({ uri, connectionLimit: -1 }),
	},
	{
		name: "Knex over MariaDB",
		server: "MariaDB",
		open: (url, settings) => openKnex(forkSafe("mysql2"), url, settings),
		misspell: () => knex({ client: forkSafe("mysql2"), connection: {}, pool: { passwrod: PASSWORD } as object }),
		mistake: (connection) => knex({ client: forkSafe("mysql2"), connection, pool: { max: -1 } }),
	},
	{
		name: "Kysely over MariaDB",
		server: "MariaDB",
		open: (uri, settings) => {
			const pool = { uri, connectionLimit: 1, connectTimeout: MILLIS, acquireTimeoutMillis: MILLIS, ...settings };
			return openKysely(new Kysely<object>({ dialect: new ForkSafeMysqlDialect({ pool }) }), []);
		},
		misspell: () => new ForkSafeMysqlDialect({ pool: { passwrod: PASSWORD } as object }),
		mistake: (uri) => new ForkSafeMysqlDialect({ pool: { uri, connectionLimit: -1 } }),
	},
];

interface Place {
	/** With the right password. */
	readonly url: string;
	/** The same, by another way in. */
	reach(change: (url: URL) => void): string;
	/** Ends all sessions of the role. */
	killSessions(): Promise<unknown>;
}

function placeAt(base: string, username: string, killSessions: () => Promise<unknown>): Place {
	const reach = (change: (url: URL) => void): string => {
		const url = new URL(base);
		url.username = username;
		url.password = encodeURIComponent(PASSWORD);
		change(url);
		return url.href;
	};
	return { url: reach(() => {}), reach, killSessions };
}

async function createRoles(): Promise<Record<Library["server"], Place>> {
	await ask(serverUrl(), `create role ${ROLE} login password '${PASSWORD}'`);
	await askMariadb(mariadbUrl("TCP"), `create user ${ROLE}@'%' identified by '${PASSWORD}'`);
	const killInMariadb = async (): Promise<void> => {
		const list = "select id from information_schema.processlist where user = ?";
		const sessions = await askMariadb<{ id: number }>(mariadbUrl("TCP"), list, [ROLE]);
		for (const { id } of sessions) await askMariadb(mariadbUrl("TCP"), `kill ${id}`);
	};
	const kill = `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${ROLE}'`;
	const mariadb = new URL(mariadbUrl("TCP"));
	mariadb.pathname = "/";
	return {
		PostgreSQL: placeAt(serverUrl(), ROLE, () => ask(serverUrl(), kill)),
		MariaDB: placeAt(mariadb.href, ROLE, killInMariadb),
	};
}

/** A port on which nobody answers, or nobody listens. */
async function portOf(kind: "silent" | "closed"): Promise<number> {
	const server = createServer((socket) => socket.on("error", () => {}).resume());
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as { port: number };
	if (kind === "closed") server.close();
	else afterThisTest(async () => void server.close());
	return port;
}

/** What was heard, and the words before the secret. */
function around(text: string): string {
	const index = Math.min(...SECRETS.map((secret) => text.indexOf(secret)).filter((at) => at >= 0));
	return `${text.slice(0, 60)} ... ${text.slice(Math.max(60, index - 200), index)}`;
}

describe("a password", function () {
	this.timeout(60_000);
	let places: Record<Library["server"], Place>;

	before(async () => {
		places = await createRoles();
	});

	after(async () => {
		await ask(serverUrl(), `drop role ${ROLE}`);
		await askMariadb(mariadbUrl("TCP"), `drop user ${ROLE}@'%'`);
	});

	for (const { name, server, open, misspell, mistake } of libraries) {
		describe(`of ${name}`, () => {
			let heard: Eavesdropper;

			const start = (url: string): Opened => {
				const opened = open(url, { log: (line) => heard.hear("log", line), leakThresholdMillis: 20 });
				afterThisTest(() => Promise.allSettled([opened.end()]));
				return opened;
			};
			const fails = async (work: () => unknown): Promise<void> => {
				try {
					await work();
				} catch (error) {
					heard.hearError("an error", error);
					return;
				}
				throw new Error("it has not failed");
			};
			const look = ({ objects }: Opened): void => {
				for (const object of objects) heard.hear("an object", object);
			};

			beforeEach(() => {
				heard = new Eavesdropper();
			});

			afterEach(async () => {
				await turn(); // a warning comes a tick later
				expect(heard.size).to.be.above(0);
				expect(heard.mentions(SECRETS).map((text) => around(text))).to.deep.equal([]);
			});

			it("is not told when all is well, and the pool is inspected", async () => {
				const opened = start(places[server].url);
				await opened.ask();
				look(opened);
				await opened.end();
				await fails(opened.ask);
				look(opened);
			});

			it("is not told when the server refuses it", async () => {
				const opened = start(places[server].reach((url) => (url.password = encodeURIComponent(`${PASSWORD}!`))));
				await fails(opened.ask);
				look(opened);
			});

			for (const kind of ["silent", "closed"] as const) {
				it(`is not told when the server is ${kind}`, async () => {
					const port = await portOf(kind);
					const opened = start(places[server].reach((url) => (url.port = String(port))));
					await fails(opened.ask);
					look(opened);
				});
			}

			it("is not told when the server's certificate is not trusted", async () => {
				const opened = start(
					places[server].reach((url) => {
						if (server === "MariaDB") url.searchParams.set("ssl", JSON.stringify({ rejectUnauthorized: true }));
						else url.searchParams.set("sslmode", "verify-full");
					}),
				);
				await fails(opened.ask);
				look(opened);
			});

			it("is not told when a connection is held for too long and others wait in vain", async () => {
				const opened = start(places[server].url);
				const release = await opened.hold();
				await fails(opened.ask);
				look(opened);
				await release();
			});

			it("is not told when sessions are ended, idle and in use", async () => {
				const opened = start(places[server].url);
				await opened.ask();
				await places[server].killSessions();
				await untilTrue(() => opened.ask().then(() => true, heard.hearError.bind(heard, "an error") as () => false), {
					what: "it is answered again",
				});
				const release = await opened.hold();
				await places[server].killSessions();
				await Promise.allSettled([release()]);
				look(opened);
			});

			it("is not told when the process is a copy", async () => {
				const opened = start(places[server].url);
				const release = await opened.hold();
				forkUnnoticed();
				afterFork();
				look(opened);
				await Promise.allSettled([release()]);
				await opened.ask();
				look(opened);
			});

			it("is not told when options are wrong", async () => {
				for (const construct of [misspell, () => mistake(places[server].url)]) {
					try {
						construct();
					} catch (error) {
						expect(error).to.be.instanceOf(OptionError);
						heard.hearError("an error", error);
						continue;
					}
					throw new Error("they were taken");
				}
			});
		});
	}

	it("is found where it is told, in every form and place", async () => {
		for (const secret of SECRETS) {
			const heard = new Eavesdropper();
			heard.hearError("an error", new Error("refused", { cause: new Error(`no ${secret}`) }));
			heard.hear("an object", { deep: { inside: new Map([["a", { secret }]]) } });
			process.emitWarning(`no ${secret}`, "TestWarning");
			await turn();
			expect(heard.mentions(SECRETS).length).to.be.at.least(4);
		}
	});
});
