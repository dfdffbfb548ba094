/** core's Pool over raw sockets: the contract where nothing but core and this driver keeps it. */
import { createHash } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import {
	currentGeneration,
	type Driver,
	discardStream,
	InheritedConnectionError,
	lastProcessChange,
	Pool,
	type ProcessChange,
} from "@forksafe/core";
import type { Face, Held, ServerView, Subject } from "./face.ts";

export const coreFace: Face = {
	name: "core",
	library: "core",
	isProtected: true,
	open: ({ url, ...options }) => subject(new Pool(new LineDriver(url, true), options)),
	server: { sessions: async (url) => new Set((await ask(url, "sessions")).split(" ")), traces },
};

/** The same without its protection. */
export const plainCoreFace: Face = {
	name: "core, protection off",
	library: "core",
	isProtected: false,
	open: ({ url, max, min, idleTimeoutMillis }) => {
		const pool = new Pool(new LineDriver(url, false), {
			max,
			...(min !== undefined && { min }),
			...(idleTimeoutMillis !== undefined && { idleTimeoutMillis }),
			processWatch: "off",
		});
		return subject(pool);
	},
	server: coreFace.server,
};

/** One line out, one line in, in order: no more protocol than a crossed answer needs. */
class LineConnection {
	readonly socket: Socket;
	readonly #isGuarded: boolean;
	readonly #generation: number;
	#inherited: InheritedConnectionError | undefined;
	#asked: PromiseWithResolvers<string>[] = [];
	#rest = "";

	constructor(socket: Socket, isGuarded: boolean) {
		this.socket = socket;
		this.#isGuarded = isGuarded;
		// An unguarded one must not look: what it saw would be announced to the pool, and protect it.
		this.#generation = isGuarded ? currentGeneration() : 0;
		socket.setEncoding("utf8");
		socket.on("data", (text: string) => this.#read(text));
		socket.on("error", (error) => this.#fail(error));
		socket.on("close", () => this.#fail(new Error("the connection was closed")));
	}

	async ask(line: string): Promise<string> {
		if (this.#isGuarded && currentGeneration() !== this.#generation) this.discard(lastProcessChange() as ProcessChange);
		if (this.#inherited !== undefined) throw this.#inherited;
		const answer = Promise.withResolvers<string>();
		this.#asked.push(answer);
		this.socket.write(`${line}\n`);
		return answer.promise;
	}

	discard(change: ProcessChange): void {
		this.#inherited ??= new InheritedConnectionError(change);
		this.#fail(this.#inherited);
		discardStream(this.socket, change);
	}

	async end(): Promise<void> {
		if (this.#isGuarded && currentGeneration() !== this.#generation) return;
		if (!this.socket.writable) return;
		const closed = new Promise<void>((resolve) => void this.socket.once("close", () => resolve()));
		this.socket.end("end\n");
		await closed;
	}

	#read(text: string): void {
		const lines = (this.#rest + text).split("\n");
		this.#rest = lines.pop() ?? "";
		for (const line of lines) this.#asked.shift()?.resolve(line);
	}

	#fail(error: Error): void {
		for (const answer of this.#asked) answer.reject(error);
		this.#asked = [];
	}
}

class LineDriver implements Driver<LineConnection> {
	readonly #url: string;
	readonly #isGuarded: boolean;

	constructor(url: string, isGuarded: boolean) {
		this.#url = url;
		this.#isGuarded = isGuarded;
	}

	async connect(signal: AbortSignal): Promise<LineConnection> {
		const socket = connectTo(this.#url);
		signal.addEventListener("abort", () => socket.destroy(signal.reason as Error), { once: true });
		const connection = new LineConnection(socket, this.#isGuarded);
		// The server greets every session, so that opening one takes more than a handshake.
		await connection.ask("me");
		return connection;
	}

	isAlive({ socket }: LineConnection): boolean {
		return socket.writable;
	}

	destroy(connection: LineConnection): Promise<void> {
		return connection.end();
	}

	discard(connection: LineConnection, change: ProcessChange): void {
		connection.discard(change);
	}
}

function connectTo(url: string): Socket {
	const { protocol, hostname, port, pathname } = new URL(url);
	if (protocol === "unix:") return connectTcp(decodeURIComponent(pathname));
	const address = { host: hostname, port: Number(port) };
	return protocol === "tls:" ? connectTls({ ...address, rejectUnauthorized: false }) : connectTcp(address);
}

function subject(pool: Pool<LineConnection>): Subject {
	return {
		echo: (text) => pool.use((connection) => echo(connection, text)),
		insert: async (key) => void (await pool.use((connection) => connection.ask(`insert ${key}`))),
		sleep: async (millis) => void (await pool.use((connection) => connection.ask(`sleep ${millis}`))),
		hold: async () => held(pool, await pool.acquire()),
		counts: () => {
			const { used, idle, pending, connecting } = pool.stats();
			return { used, idle, pending: Math.max(0, pending - connecting) };
		},
		end: () => pool.drain(),
	};
}

function held(pool: Pool<LineConnection>, connection: LineConnection): Held {
	return {
		raw: connection,
		backend: () => connection.ask("me"),
		echo: (text) => echo(connection, text),
		insert: async (key) => void (await connection.ask(`insert ${key}`)),
		end: () => connection.end(),
		release: () => pool.release(connection),
	};
}

/** A long text is answered by its digest. */
async function echo(connection: LineConnection, text: string): Promise<string> {
	const answer = await connection.ask(`echo ${text}`);
	return answer === createHash("sha256").update(text).digest("hex") ? text : answer;
}

async function traces(...[url, key]: Parameters<ServerView["traces"]>): Promise<number> {
	return Number(await ask(url, `traces ${key}`));
}

async function ask(url: string, line: string): Promise<string> {
	const connection = new LineConnection(connectTo(url), false);
	try {
		return await connection.ask(line);
	} finally {
		await connection.end();
	}
}
