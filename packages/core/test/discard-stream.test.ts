import { once } from "node:events";
import { connect, createServer, type Server, Socket } from "node:net";
import { PassThrough } from "node:stream";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { expect } from "chai";
import { selfSignedCertificate } from "../../../test/support/certificate.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { discardStream, type ProcessChange, type ProcessChangeCause } from "../src/index.ts";
import { survivors } from "./support/collection.ts";

function change(cause: ProcessChangeCause, pid = process.pid): ProcessChange {
	return { cause, previousPid: process.pid, pid, previousGeneration: 0, generation: 1 };
}

/** @returns what the listeners hold */
function listenWithAnObject(stream: Socket): WeakRef<object> {
	const held = {};
	const listener = (): object => held;
	stream.on("data", listener).on("close", listener);
	return new WeakRef(held);
}

/** A client and the server's side of it, on loopback. */
interface Pair {
	readonly client: Socket;
	/** With TLS, what is below the client. */
	readonly plain: Socket;
	readonly peer: Socket;
	/** What the server has seen. */
	readonly seen: string[];
}

describe("discardStream", () => {
	const servers: Server[] = [];
	const sockets: Socket[] = [];

	afterEach(() => {
		for (const socket of sockets.splice(0)) socket.destroy();
		for (const server of servers.splice(0)) server.close();
	});

	for (const transport of ["TCP", "TLS"] as const) {
		async function pair(): Promise<Pair> {
			const server = transport === "TCP" ? createServer() : createTlsServer(await selfSignedCertificate());
			servers.push(server.listen(0, "127.0.0.1"));
			await once(server, "listening");
			const { port } = server.address() as { port: number };
			const peers = once(server, transport === "TCP" ? "connection" : "secureConnection") as Promise<[Socket]>;
			const plain = connect(port, "127.0.0.1");
			const client = transport === "TCP" ? plain : connectTls({ socket: plain, rejectUnauthorized: false });
			await once(client, transport === "TCP" ? "connect" : "secureConnect");
			const [peer] = await peers;
			sockets.push(client, peer);
			const seen: string[] = [];
			for (const event of ["end", "error", "close"]) peer.on(event, () => seen.push(event));
			peer.on("data", (data: Buffer) => seen.push(String(data)));
			return { client, plain, peer, seen };
		}

		describe(`over ${transport}`, () => {
			for (const [name, inWhich] of [
				["a cloned machine", change("clone")],
				["what was reported, with the pid that it had", change("reported")],
			] as const) {
				it(`keeps the socket open in ${name}, and lets nothing be read or written`, async () => {
					const { client, peer, seen } = await pair();
					const closed = once(client, "close");
					let read = 0;
					client.on("data", () => read++);
					discardStream(client, inWhich);
					await closed;
					client.write("late", () => {});
					peer.write("an answer of the original");
					await once(peer, "drain", { signal: AbortSignal.timeout(300) }).catch(() => {});
					expect([client.destroyed, client.writable, read]).to.deep.equal([true, false, 0]);
					expect(seen).to.deep.equal([]);
					expect(peer.readyState).to.equal("open");
				});
			}

			for (const [name, inWhich] of [
				["a forked process", change("fork", process.pid + 1)],
				["what was reported, with another pid", change("reported", process.pid + 1)],
			] as const) {
				it(`closes the descriptor in ${name}: what the peer sees when nobody else has one`, async () => {
					const { client, seen } = await pair();
					discardStream(client, inWhich);
					await untilTrue(() => seen.includes("end"), { what: "the peer's end" });
				});
			}

			it("closes every stream of it, as far as its listeners can tell", async () => {
				const { client, plain } = await pair();
				const closed = Promise.all([once(client, "close"), once(plain, "close")]);
				discardStream(client, change("clone"));
				await closed;
			});

			it("keeps nothing of the connection alive but the socket", async () => {
				const { client } = await pair();
				const reference = listenWithAnObject(client);
				const closed = once(client, "close");
				discardStream(client, change("clone"));
				await closed;
				expect(await survivors([reference])).to.equal(0);
			});
		});
	}

	it("destroys a stream that has no socket", () => {
		for (const stream of [new Socket(), new PassThrough()]) {
			discardStream(stream, change("clone"));
			expect(stream.destroyed).to.equal(true);
		}
	});
});
