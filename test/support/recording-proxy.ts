import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterThisTest } from "./after-this-test.ts";
import { untilTrue } from "./until-true.ts";

/** What one connection has sent. */
export interface Sent {
	bytes: number;
	/** Its FIN has come. */
	hasEnded: boolean;
}

/** A TCP proxy in front of a server, which notes what clients send. It is stopped after the test. */
export class RecordingProxy {
	/** In the order in which they have connected. */
	readonly clients: Sent[] = [];
	/** Takes connections and answers nothing. */
	isSilent = false;
	/** So many packets of the server are passed on, to each client. */
	silentAfter = Number.POSITIVE_INFINITY;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#open = 0;
	#port = 0;

	/**
	 * @param target the server's url, over TCP
	 * @param allowHalfOpen whether a client whose FIN has come goes on hearing the server, or is closed at once
	 */
	constructor(target: string, allowHalfOpen: boolean) {
		const { hostname, port } = new URL(target);
		this.#server = createServer({ allowHalfOpen }, (client) => this.#pass(client, connect(Number(port), hostname)));
		afterThisTest(() => this.stop());
	}

	/** So many connections of clients are open: when one of them is not any more, all that it has sent was counted. */
	get open(): number {
		return this.#open;
	}

	/** What all clients have sent. */
	get bytes(): number {
		return this.clients.reduce((sum, { bytes }) => sum + bytes, 0);
	}

	/** The url through this proxy. */
	through(target: string): string {
		const url = new URL(target);
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

	/** What was sent before has to be counted first: it has arrived when nothing comes any more. */
	async atRest(): Promise<readonly Sent[]> {
		let [last, since] = [this.bytes, performance.now()];
		await untilTrue(
			() => {
				if (this.bytes !== last) [last, since] = [this.bytes, performance.now()];
				return performance.now() - since >= 50;
			},
			{ what: "the proxy is at rest" },
		);
		return this.clients.map((sent) => ({ ...sent }));
	}

	#pass(client: Socket, toServer: Socket): void {
		const sent: Sent = { bytes: 0, hasEnded: false };
		this.clients.push(sent);
		this.#keep(client);
		this.#keep(toServer);
		this.#open++;
		client.once("close", () => this.#open--);
		client.on("data", (chunk: Buffer) => {
			sent.bytes += chunk.length;
			if (!this.isSilent) toServer.write(chunk);
		});
		client.once("end", () => {
			sent.hasEnded = true;
			toServer.end();
			if (this.isSilent || this.silentAfter < Number.POSITIVE_INFINITY) client.destroy();
		});
		let packets = 0;
		toServer.on("data", (chunk: Buffer) => {
			if (!this.isSilent && packets++ < this.silentAfter) client.write(chunk);
		});
		toServer.once("end", () => client.end());
		client.once("close", () => toServer.destroy());
		toServer.once("close", () => client.destroy());
	}

	#keep(socket: Socket): Socket {
		this.#sockets.add(socket);
		socket.once("close", () => this.#sockets.delete(socket));
		return socket.on("error", () => {}); // "close" follows
	}
}
