import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { databaseUrl } from "./database.ts";
import { afterThisTest } from "./set-up.ts";

/** A TCP proxy in front of the server of this run, which counts what clients send. It is stopped after the test. */
export class CountingProxy {
	/** From clients to the server. */
	bytes = 0;
	/** Takes connections and answers nothing. */
	isSilent = false;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#open = 0;
	#port = 0;

	constructor() {
		const { hostname, port } = new URL(databaseUrl());
		this.#server = createServer((fromClient) => {
			this.#keep(fromClient);
			this.#open++;
			fromClient.once("close", () => this.#open--);
			fromClient.on("data", (chunk: Buffer) => {
				this.bytes += chunk.length;
			});
			if (this.isSilent) return;
			const toServer = this.#keep(connect(Number(port), hostname));
			fromClient.pipe(toServer);
			toServer.pipe(fromClient);
			fromClient.once("close", () => toServer.destroy());
			toServer.once("close", () => fromClient.destroy());
		});
		afterThisTest(() => this.stop());
	}

	/** So many connections of clients are open: when one of them is not any more, all that it has sent was counted. */
	get open(): number {
		return this.#open;
	}

	/** The url of the database through this proxy. */
	urlOf(transport: "TCP" | "TLS" = "TCP"): string {
		const url = new URL(databaseUrl(transport));
		url.host = `127.0.0.1:${this.#port}`;
		return url.href;
	}

	/** Listens, on the same port as before. */
	async start(): Promise<this> {
		this.#server.listen(this.#port, "127.0.0.1");
		await once(this.#server, "listening");
		this.#port = (this.#server.address() as AddressInfo).port;
		return this;
	}

	/** Refuses connections from now on, and closes those that are open. */
	async stop(): Promise<void> {
		if (!this.#server.listening) return;
		const closed = once(this.#server, "close");
		this.#server.close();
		for (const socket of this.#sockets) socket.destroy();
		await closed;
	}

	#keep(socket: Socket): Socket {
		this.#sockets.add(socket);
		socket.once("close", () => this.#sockets.delete(socket));
		return socket.on("error", () => {}); // "close" follows
	}
}
