import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP proxy on 127.0.0.1 that does to connections what networks do to them. It lives in the process that causes the
 * fault, so that it goes on while the one under test is blocked or stopped.
 */
export class ChaosProxy {
	/** Every chunk waits so long, in either direction. */
	latencyMillis = 0;
	/** A new connection reaches the server only after this time; the kernel has accepted it meanwhile. */
	acceptDelayMillis = 0;
	/** New connections are accepted, and nothing ever comes of them. */
	swallowsNew = false;
	readonly #target: { readonly host: string; readonly port: number };
	readonly #server: Server;
	readonly #links = new Set<Link>();
	#port = 0;

	constructor(target: { readonly host: string; readonly port: number }) {
		this.#target = target;
		this.#server = createServer((client) => this.#accept(client));
	}

	/** Where clients find it. The same before and after {@link ChaosProxy.refuse}. */
	get port(): number {
		return this.#port;
	}

	/** Connections of clients that are open. */
	get open(): number {
		return this.#links.size;
	}

	/** The url of a server behind this proxy. */
	urlOf(url: string): string {
		const through = new URL(url);
		through.host = `127.0.0.1:${this.#port}`;
		return through.href;
	}

	/** Listens. */
	async start(): Promise<this> {
		this.#server.listen(this.#port, "127.0.0.1");
		await once(this.#server, "listening");
		this.#port = (this.#server.address() as AddressInfo).port;
		return this;
	}

	/** Connections that are open go silent: what either side sends is kept back until {@link ChaosProxy.resume}. */
	stall(): void {
		for (const link of this.#links) link.stall();
	}

	/** Ends every stall. */
	resume(): void {
		for (const link of this.#links) link.resume();
	}

	/** Closes connections that are open, to both sides, with a FIN. */
	cut(): void {
		for (const link of this.#links) link.end();
	}

	/** Closes connections that are open, to the client with a RST. */
	reset(): void {
		for (const link of this.#links) link.reset();
	}

	/** The server's side of open connections is closed. Clients are not told, and what they send goes nowhere. */
	halfOpen(): void {
		for (const link of this.#links) link.halfOpen();
	}

	/** Refuses new connections, until it is started again. */
	async refuse(): Promise<void> {
		if (!this.#server.listening) return;
		this.#server.close();
		this.cut();
		await once(this.#server, "close");
	}

	/** Closes everything. */
	async stop(): Promise<void> {
		for (const link of this.#links) link.destroy();
		await this.refuse();
	}

	#accept(client: Socket): void {
		const link = new Link(client, () => this.latencyMillis);
		this.#links.add(link);
		client.once("close", () => this.#links.delete(link));
		if (this.swallowsNew) return;
		if (this.acceptDelayMillis === 0) link.connectTo(this.#target);
		else setTimeout(() => link.connectTo(this.#target), this.acceptDelayMillis);
	}
}

/** A client's connection, and the one to the server that belongs to it. */
class Link {
	readonly #client: Socket;
	readonly #latency: () => number;
	#server: Socket | undefined;
	#isStalled = false;
	#isHalfOpen = false;
	/** Everything that goes on happens in this order, when nothing is stalled. */
	#kept: (() => void)[] = [];

	constructor(client: Socket, latency: () => number) {
		this.#client = client;
		this.#latency = latency;
		client.setNoDelay(true);
		client.on("error", () => {}); // "close" follows
		client.on("data", (chunk) => this.#later(() => this.#server?.write(chunk)));
		client.once("close", () => this.#server?.destroy());
	}

	connectTo({ host, port }: { readonly host: string; readonly port: number }): void {
		if (this.#client.destroyed) return;
		const server = connect({ host, port, noDelay: true });
		this.#server = server;
		server.on("error", () => {});
		server.on("data", (chunk) => this.#later(() => this.#client.write(chunk)));
		server.once("close", () => this.#later(() => this.#isHalfOpen || this.#client.end()));
		for (const step of this.#kept.splice(0)) step();
	}

	stall(): void {
		this.#isStalled = true;
	}

	resume(): void {
		this.#isStalled = false;
		for (const step of this.#kept.splice(0)) step();
	}

	end(): void {
		this.#isStalled = false;
		this.#client.end();
		this.#server?.destroy();
	}

	reset(): void {
		this.#client.resetAndDestroy();
		this.#server?.destroy();
	}

	halfOpen(): void {
		this.#isHalfOpen = true;
		this.#server?.destroy();
	}

	destroy(): void {
		this.#client.destroy();
		this.#server?.destroy();
	}

	#later(step: () => void): void {
		const now = (): void => {
			if (this.#isStalled || this.#server === undefined) this.#kept.push(step);
			else step();
		};
		const latency = this.#latency();
		// Timers of one length fire in the order in which they were set.
		if (latency > 0) setTimeout(now, latency);
		else now();
	}
}
