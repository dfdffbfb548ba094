import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { mariadbUrl } from "../../../../test/support/server-urls.ts";
import { untilTrue } from "../../../../test/support/until-true.ts";
import { afterThisTest } from "./set-up.ts";

/** What one connection has sent. */
export interface Sent {
	bytes: number;
	/** Its FIN has come. */
	hasEnded: boolean;
}

/** A TCP proxy in front of the server of this run, which notes what clients send. It is stopped after the test. */
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

	constructor() {
		const { hostname, port } = new URL(mariadbUrl("TCP"));
		this.#server = createServer({ allowHalfOpen: true }, (client) => this.#pass(client, connect(Number(port), hostname)));
		afterThisTest(() => this.stop());
	}

	/** So many connections of clients are open. */
	get open(): number {
		return this.#open;
	}

	/** What all clients have sent. */
	get bytes(): number {
		return this.clients.reduce((sum, { bytes }) => sum + bytes, 0);
	}

	/** The url of the database through this proxy. */
	urlOf(transport: "TCP" | "TLS" = "TCP"): string {
		const url = new URL(mariadbUrl(transport));
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
