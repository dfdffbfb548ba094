/** What our own throw-away servers (PostgreSQL, MariaDB) have in common. */
import { execFile, spawn } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type KeyAndCertificate, selfSignedCertificate, signedCertificate } from "./certificate.ts";

export const run = promisify(execFile);

/** The user who runs the server where that cannot be the one who runs us. */
export interface Owner {
	readonly uid: number;
	readonly gid: number;
}

/** Servers refuse to run as root. Every system has a `nobody`, so none has to be made. */
export async function serverOwner(): Promise<Owner | undefined> {
	if (process.getuid?.() !== 0) return undefined;
	const passwd = await readFile("/etc/passwd", "utf8");
	const nobody = /^nobody:[^:]*:(\d+):(\d+):/m.exec(passwd);
	if (!nobody) throw new Error("a server does not run as root, and there is no user nobody");
	return { uid: Number(nobody[1]), gid: Number(nobody[2]) };
}

/** A place for temporary files that the server's user can reach, with a path that a socket's address has room for. */
export async function shortDirectory(owner: Owner | undefined): Promise<string> {
	for (const candidate of [tmpdir(), "/tmp"]) {
		if (candidate.length <= 60 && (!owner || (await isOpenToAll(candidate)))) return candidate;
	}
	return "/tmp";
}

async function isOpenToAll(path: string): Promise<boolean> {
	const above = dirname(path);
	if (((await stat(path)).mode & 0o001) === 0) return false;
	return above === path || isOpenToAll(above);
}

/** Two servers that start at once may be given the same port: the second fails to start, with its log. */
export async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => void server.close(resolve));
	return port;
}

/** The server's own: `server.crt` and `server.key`. */
export async function writeCertificate(directory: string, authority?: KeyAndCertificate): Promise<void> {
	const { key, cert } = await (authority ? signedCertificate(authority) : selfSignedCertificate());
	await writeFile(join(directory, "server.crt"), cert);
	await writeFile(join(directory, "server.key"), key, { mode: 0o600 });
}

export async function giveTo(owner: Owner, directory: string): Promise<void> {
	await run("chown", ["-R", `${owner.uid}:${owner.gid}`, directory]);
}

/** None of the caller's variables, and messages in one language. */
export function serverEnvironment(): NodeJS.ProcessEnv {
	return { PATH: process.env["PATH"], LC_ALL: "C" };
}

/** A process that ends a server and removes its files when we let go, or have died in any way. */
export interface Keeper {
	readonly release: () => Promise<void>;
}

/**
 * Runs a shell script that ends the server when its standard input ends: that is when we let go, or when we have died, by a
 * SIGKILL as well. It has a session of its own, so that Ctrl-C reaches it in no other way.
 *
 * @param script gets `args` as `$1` and so on; it is read by `sh` after the end of its input
 */
export function keep(script: string, directory: string, owner: Owner | undefined, ...args: readonly string[]): Keeper {
	const keeper = spawn("sh", ["-c", `read -r _; ${script}; cd /; rm -rf "${directory}"`, "forksafe-keeper", ...args], {
		cwd: directory,
		detached: true,
		env: serverEnvironment(),
		stdio: ["pipe", "ignore", "ignore"],
		...owner,
	});
	const gone = new Promise<void>((resolve) => {
		keeper.once("exit", () => resolve());
		keeper.once("error", () => resolve());
	});
	keeper.unref();
	return {
		release: () => {
			keeper.ref();
			keeper.stdin.end();
			return gone;
		},
	};
}
