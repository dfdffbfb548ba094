import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP load balancer on 127.0.0.1, in front of several servers that are all alike: a new connection goes to the first of them
 * that takes it.
 */
export class Balancer {
	readonly #ports: readonly number[];
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	/** @param urls of the servers, the one that is preferred first */
	constructor(urls: readonly string[]) {
		this.#ports = urls.map((url) => Number(new URL(url).port));
		this.#server = createServer((client) => void this.#accept(client));
	}

	async start(): Promise<this> {
		this.#server.listen(0, "127.0.0.1");
		await once(this.#server, "listening");
		return this;
	}

	/** The url of one of the servers, by way of this balancer. */
	urlOf(url: string): string {
		const through = new URL(url);
		through.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
		return through.href;
	}

	async stop(): Promise<void> {
		this.#server.close();
		for (const socket of this.#sockets) socket.destroy();
		await once(this.#server, "close");
	}

	async #accept(client: Socket): Promise<void> {
		this.#keep(client);
		for (const port of this.#ports) {
			const server = this.#keep(connect({ port, host: "127.0.0.1", noDelay: true }));
			const isOpen = await new Promise<boolean>((resolve) => {
				server.once("connect", () => resolve(true)).once("close", () => resolve(false));
			});
			if (!isOpen) continue;
			client.pipe(server).pipe(client);
			client.once("close", () => server.destroy());
			server.once("close", () => client.destroy());
			return;
		}
		client.resetAndDestroy();
	}

	#keep(socket: Socket): Socket {
		this.#sockets.add(socket);
		socket.on("error", () => {}); // "close" follows
		socket.once("close", () => this.#sockets.delete(socket));
		return socket;
	}
}
