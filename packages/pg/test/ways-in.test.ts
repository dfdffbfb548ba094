/** All ways in which pg reaches a server, in a process and in a child forked from it; and how they end where they lead nowhere. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect } from "chai";
import pg from "pg";
import {
	certificateAuthority,
	type KeyAndCertificate,
	selfSignedCertificate,
	signedCertificate,
} from "../../../test/support/certificate.ts";
import { type EmbeddedServer, startEmbeddedServer } from "../../../test/support/embedded-server.ts";
import { runProgram } from "../../../test/support/program.ts";
import { rejection } from "../../../test/support/promises.ts";
import { needsForks } from "../../../test/support/skip.ts";
import { offeredTransports } from "../../../test/support/transports.ts";
import type { PoolConfig } from "../src/index.ts";
import type { Server } from "./programs/ways-in.ts";
import { openPool } from "./support/set-up.ts";

const ROLE = "certified";

/** What the server knows of a connection, by the way in which it was opened. */
const expected: Record<string, (who: "parent" | "child", pid: number) => Partial<Session>> = {
	"the PG* variables": (who) => ({ name: `the ${who}`, encrypted: true }),
	"options in parts": () => ({ name: "parts" }),
	"a postgres:// string": () => ({ name: "a string", memory: "123kB" }),
	"a postgresql:// string with parts as parameters": () => ({}),
	"a unix socket in parts": () => ({ byUnixSocket: true }),
	"a unix socket in a postgres:// string": () => ({ byUnixSocket: true }),
	"a unix socket in a socket: string": () => ({ byUnixSocket: true }),
	"a unix socket in a path": () => ({ byUnixSocket: true }),
	"a certificate authority": () => ({ encrypted: true }),
	"a certificate authority in the string": () => ({ encrypted: true }),
	"a client certificate": () => ({ encrypted: true, user: ROLE, certificate: `/CN=${ROLE}` }),
	"a client certificate in the string": () => ({ encrypted: true, user: ROLE, certificate: `/CN=${ROLE}` }),
	"a password that is asked for": () => ({}),
	"a password that is asked for and comes later": () => ({}),
	"a name of the process": (_who, pid) => ({ name: `process ${pid}` }),
};
const plainSession = {
	user: "postgres",
	database: "postgres",
	name: "",
	byUnixSocket: false,
	encrypted: false,
	certificate: null,
	memory: "4MB",
};

type Session = Omit<typeof plainSession, "certificate"> & { readonly certificate: string | null };

interface Seen extends Session {
	readonly way: string;
	readonly process: "before" | "parent" | "child";
	readonly pid: number;
	readonly backend: number;
	readonly error?: string;
	readonly passwordsAsked?: number;
}

describe("a server of the tests' own", () => {
	let embedded: EmbeddedServer;
	let server: Server;
	let directory: string;
	let authority: KeyAndCertificate;
	let client: KeyAndCertificate;

	before(async () => {
		directory = await mkdtemp(join(tmpdir(), "forksafe-certificates-"));
		authority = await certificateAuthority();
		client = await signedCertificate(authority, ROLE);
		const [caFile, keyFile, certFile] = ["ca.crt", "client.key", "client.crt"].map((name) => join(directory, name)) as [
			string,
			string,
			string,
		];
		await writeFile(caFile, authority.cert);
		await writeFile(keyFile, client.key, { mode: 0o600 });
		await writeFile(certFile, client.cert);
		embedded = await startEmbeddedServer({
			maxConnections: 100,
			tls: true,
			unixSocket: true,
			// The form of a path has no place for a password, and pg's pool drops one that stands beside a string.
			trustsUnixSocket: true,
			certified: { authority, role: ROLE },
		});
		const { unixSocketUrl = "" } = await offeredTransports(embedded.url);
		const postgres = new pg.Client(embedded.url);
		await postgres.connect();
		await postgres.query(`create role ${ROLE} login`);
		await postgres.end();
		server = { url: embedded.url, unixSocketUrl, caFile, certified: { role: ROLE, keyFile, certFile } };
	});

	after(async () => {
		await embedded?.stop();
		await rm(directory, { recursive: true, force: true });
	});

	describe("after a fork", () => {
		const seen: Record<"OURS" | "PLAIN", Seen[]> = { OURS: [], PLAIN: [] };
		let output = "";

		before(needsForks);
		before("run the programs", async () => {
			const run = async (mode: "OURS" | "PLAIN"): Promise<void> => {
				const result = await runProgram(new URL("programs/ways-in.ts", import.meta.url), {
					deadlineMillis: 15_000,
					args: [mode, JSON.stringify(server)],
					onReport: (line) => line.kind === "report" && seen[mode].push(line.value as Seen),
				});
				output += result.output;
			};
			await Promise.all([run("OURS"), run("PLAIN")]);
		});

		for (const [way, session] of Object.entries(expected)) {
			it(`is reached by parent and child by ${way}, each on connections of its own`, () => {
				const [before, parent, child] = visits(seen.OURS, way);
				expect(before, output).to.deep.include({ ...plainSession, ...session("parent", before?.pid ?? 0) });
				expect(parent, output).to.deep.include({ ...plainSession, ...session("parent", before?.pid ?? 0) });
				expect(child, output).to.deep.include({ ...plainSession, ...session("child", child?.pid ?? 0) });
				expect(parent?.backend).to.equal(before?.backend);
				expect(child?.backend).not.to.equal(before?.backend);
				expect(child?.pid).not.to.equal(before?.pid);
			});

			if (way === "a name of the process") continue;
			it(`is not by ${way} through a plain pool`, () => {
				const [before, parent, child] = visits(seen.PLAIN, way);
				expect(before, output).to.have.property("backend");
				const isRight = parent?.backend !== undefined && child?.backend !== undefined && parent.backend !== child.backend;
				expect(isRight && before?.backend === parent.backend, JSON.stringify([before, parent, child])).to.equal(false);
			});
		}

		it("is given a password once for each connection", () => {
			const asked = visits(seen.OURS, "all").map((visit) => visit?.passwordsAsked);
			expect(asked, output).to.deep.equal([2, 2, 4]);
		});
	});

	describe("refuses at once, with the driver's own error,", () => {
		const parts = (): pg.ClientConfig => {
			const { hostname: host, port, username: user, password } = new URL(server.url);
			return { host, port: Number(port), user, password, database: "postgres" };
		};
		const cases: Record<string, { readonly code: string; config(): Promise<pg.ClientConfig> }> = {
			"a client that trusts another authority": {
				code: "SELF_SIGNED_CERT_IN_CHAIN",
				config: async () => ({ ...parts(), ssl: { ca: (await selfSignedCertificate()).cert } }),
			},
			"a client that knows it by another name": {
				code: "ERR_TLS_CERT_ALTNAME_INVALID",
				config: async () => ({ ...parts(), ssl: { ca: authority.cert, servername: "db.example" } }),
			},
			"a role that shows no certificate": {
				code: "28000",
				config: async () => ({ ...parts(), user: ROLE, ssl: { ca: authority.cert } }),
			},
			"a role that shows somebody else's certificate": {
				code: "28000",
				config: async () => ({
					...parts(),
					user: ROLE,
					ssl: { ca: authority.cert, ...(await signedCertificate(authority, "other")) },
				}),
			},
			"a key that is not that of the certificate": {
				code: "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
				config: async () => ({ ...parts(), user: ROLE, ssl: { ca: authority.cert, cert: client.cert, key: authority.key } }),
			},
			"a password that cannot be asked for": {
				code: "ENOENT",
				config: async () => ({
					...parts(),
					password: () => Promise.reject(Object.assign(new Error("no file"), { code: "ENOENT" })),
				}),
			},
			"a password that is wrong when it comes": {
				code: "28P01",
				config: async () => ({ ...parts(), password: async () => "correct horse" }),
			},
		};

		for (const [what, { code, config }] of Object.entries(cases)) {
			it(what, async () => {
				const options = await config();
				const theirs = await rejection(new pg.Client(options).connect());
				const pool = openPool({ connectionString: undefined, ...options } as PoolConfig);
				const start = performance.now();
				const error = await rejection(pool.query("select 1"));
				expect(error).to.include({ code, message: theirs.message });
				expect(error.cause).to.include({ code, message: theirs.message });
				expect(performance.now() - start, "milliseconds").to.be.lessThan(2_000);
				const shown = inspect(error, { depth: 9, showHidden: true });
				for (const secret of ["correct horse", bodyOf(client.key), bodyOf(authority.key)]) expect(shown).not.to.include(secret);
				expect(pool.totalCount).to.equal(0);
			});
		}
	});
});

/** What was seen of a way before the fork, and after it by parent and child. */
function visits(seen: readonly Seen[], way: string): (Seen | undefined)[] {
	return (["before", "parent", "child"] as const).map((who) => seen.find((each) => each.way === way && each.process === who));
}

/** What must not be seen of a key. */
function bodyOf(pem: string): string {
	return pem.split("\n")[1] ?? expect.fail("no key");
}
