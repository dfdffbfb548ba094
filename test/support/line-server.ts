import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { selfSignedCertificate } from "./certificate.ts";

/** A server of lines for core's own scenarios, over TCP, a unix socket and TLS. */
export interface LineServer {
	readonly url: string;
	readonly unixSocketUrl: string;
	readonly tlsUrl: string;
	stop(): Promise<void>;
}

/**
 * Starts a server that answers `me` with the name of the session, `sessions` with the names of all that are open, `echo`
 * with a digest, `sleep` after a while, and counts what is inserted. It closes a session when it is told `end`, or when it
 * sees the other side go. Its unix socket is removed when it stops.
 */
export async function startLineServer(): Promise<LineServer> {
	const directory = mkdtempSync(join(tmpdir(), "forksafe-lines-"));
	const unixSocketPath = join(directory, "socket");
	const memory: Memory = { sessions: new Set(), traces: new Map(), lastSession: 0 };
	const serve = (socket: Socket): void => serveLines(socket, memory);
	const servers = [createServer(serve), createServer(serve), createTlsServer(await selfSignedCertificate(), serve)] as const;
	const [tcp, unix, tls] = servers;
	await Promise.all([listening(tcp, 0), listening(unix, unixSocketPath), listening(tls, 0)]);
	return {
		url: `tcp://127.0.0.1:${portOf(tcp)}`,
		unixSocketUrl: `unix://${unixSocketPath}`,
		tlsUrl: `tls://127.0.0.1:${portOf(tls)}`,
		stop: async () => {
			for (const { socket } of memory.sessions) socket.destroy();
			await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
			rmSync(directory, { recursive: true, force: true });
		},
	};
}

interface Memory {
	readonly sessions: Set<{ readonly name: string; readonly socket: Socket }>;
	readonly traces: Map<string, number>;
	lastSession: number;
}

function serveLines(socket: Socket, memory: Memory): void {
	const session = { name: `s${++memory.lastSession}`, socket };
	memory.sessions.add(session);
	socket.on("error", () => {});
	socket.on("close", () => memory.sessions.delete(session));
	socket.setEncoding("utf8");
	let rest: string[] = [];
	let turn = Promise.resolve();
	socket.on("data", (text: string) => {
		const [first = "", ...others] = text.split("\n");
		rest.push(first);
		for (const next of others) {
			const line = rest.join("");
			rest = [next];
			turn = turn.then(() => answer(line, session.name, socket, memory));
		}
	});
}

async function answer(line: string, session: string, socket: Socket, memory: Memory): Promise<void> {
	const [command, argument = ""] = split(line);
	switch (command) {
		case "me":
			return reply(socket, session);
		case "sessions":
			return reply(socket, [...memory.sessions].map(({ name }) => name).join(" "));
		case "echo":
			return reply(socket, createHash("sha256").update(argument).digest("hex"));
		case "sleep":
			await new Promise((resolve) => setTimeout(resolve, Number(argument)));
			return reply(socket, "slept");
		case "insert":
			memory.traces.set(argument, (memory.traces.get(argument) ?? 0) + 1);
			return reply(socket, "inserted");
		case "traces":
			return reply(socket, String(memory.traces.get(argument) ?? 0));
		case "end":
			socket.end();
			return;
		default:
			// Two processes that write to one connection garble each other's lines.
			return reply(socket, `unknown command of ${line.length} characters`);
	}
}

function reply(socket: Socket, line: string): void {
	if (socket.writable) socket.write(`${line}\n`);
}

function split(line: string): [string, string?] {
	const space = line.indexOf(" ");
	return space < 0 ? [line] : [line.slice(0, space), line.slice(space + 1)];
}

function listening(server: Server, where: number | string): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		if (typeof where === "number") server.listen(where, "127.0.0.1", resolve);
		else server.listen(where, resolve);
	});
}

function portOf(server: Server): number {
	const address = server.address();
	if (typeof address !== "object" || address === null) throw new Error("the server is not listening");
	return address.port;
}
