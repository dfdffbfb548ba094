import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { ChaosProxy } from "../support/chaos-proxy.ts";
import { untilTrue } from "../support/until-true.ts";

/** What a client has seen of its connection. */
interface Seen {
	readonly socket: Socket;
	text: string;
	error: string | undefined;
	isEnded: boolean;
}

describe("ChaosProxy", () => {
	let echo: Server;
	const accepted = new Set<Socket>();
	let proxy: ChaosProxy;
	const clients: Socket[] = [];

	beforeEach(async () => {
		echo = createServer((socket) => {
			accepted.add(socket);
			socket.once("close", () => accepted.delete(socket));
			socket.on("error", () => {});
			socket.pipe(socket);
		});
		echo.listen(0, "127.0.0.1");
		await once(echo, "listening");
		proxy = await new ChaosProxy({ host: "127.0.0.1", port: (echo.address() as AddressInfo).port }).start();
	});

	afterEach(async () => {
		for (const client of clients.splice(0)) client.destroy();
		await proxy.stop();
		for (const socket of accepted) socket.destroy();
		echo.close();
	});

	async function open(): Promise<Seen> {
		const socket = connect(proxy.port, "127.0.0.1");
		clients.push(socket);
		const seen: Seen = { socket, text: "", error: undefined, isEnded: false };
		socket.on("data", (chunk) => {
			seen.text += chunk.toString();
		});
		socket.on("error", (error: NodeJS.ErrnoException) => {
			seen.error = error.code;
		});
		socket.on("end", () => {
			seen.isEnded = true;
		});
		await once(socket, "connect");
		return seen;
	}

	async function openAndAsk(): Promise<Seen> {
		const seen = await open();
		seen.socket.write("a");
		await untilTrue(() => seen.text === "a", { what: "the echo" });
		return seen;
	}

	it("passes on what both sides send, in order", async () => {
		const seen = await open();
		for (const letter of "abcdef") seen.socket.write(letter);
		await untilTrue(() => seen.text === "abcdef", { what: "the echo" });
		expect(proxy.open).to.equal(1);
	});

	it("delays every chunk in both directions", async () => {
		const seen = await openAndAsk();
		proxy.latencyMillis = 30;
		const start = performance.now();
		seen.socket.write("b");
		await untilTrue(() => seen.text === "ab", { what: "the echo" });
		expect(performance.now() - start).to.be.at.least(55);
	});

	it("keeps a stalled connection's bytes back until it is resumed", async () => {
		const seen = await openAndAsk();
		proxy.stall();
		seen.socket.write("b");
		const other = await openAndAsk();
		expect(seen.text).to.equal("a");
		expect(other.text).to.equal("a");
		proxy.resume();
		await untilTrue(() => seen.text === "ab", { what: "the echo" });
	});

	it("cuts with a FIN", async () => {
		const seen = await openAndAsk();
		proxy.cut();
		await untilTrue(() => seen.isEnded && accepted.size === 0, { what: "both sides are closed" });
		expect(seen.error).to.equal(undefined);
	});

	it("resets with a RST", async () => {
		const seen = await openAndAsk();
		proxy.reset();
		await untilTrue(() => seen.error !== undefined, { what: "the reset" });
		expect(seen.error).to.equal("ECONNRESET");
	});

	it("leaves the client of a half-open connection in the dark", async () => {
		const seen = await openAndAsk();
		proxy.halfOpen();
		await untilTrue(() => accepted.size === 0, { what: "the server's side is closed" });
		seen.socket.write("b");
		await openAndAsk();
		expect(seen).to.include({ text: "a", error: undefined, isEnded: false });
	});

	it("accepts late, and loses nothing that was sent before", async () => {
		proxy.acceptDelayMillis = 50;
		const start = performance.now();
		await openAndAsk();
		expect(performance.now() - start).to.be.at.least(49);
	});

	it("swallows new connections only", async () => {
		const seen = await openAndAsk();
		proxy.swallowsNew = true;
		const swallowed = await open();
		swallowed.socket.write("x");
		seen.socket.write("b");
		await untilTrue(() => seen.text === "ab", { what: "the echo" });
		expect(swallowed).to.include({ text: "", error: undefined, isEnded: false });
	});

	it("refuses until it is started again, on the same port", async () => {
		const { port } = proxy;
		await proxy.refuse();
		const refused = connect(port, "127.0.0.1");
		const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
		expect(error.code).to.equal("ECONNREFUSED");
		await proxy.start();
		expect(proxy.port).to.equal(port);
		await openAndAsk();
	});
});
