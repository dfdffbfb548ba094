/**
 * `holding-proxy.ts TARGET BYTES PORT_FLAG HELD_FLAG RELEASED_FLAG`: a TCP proxy, which passes so many bytes of what the server says on
 * each connection, and keeps the rest until it is told to let go. A process of its own: who holds a connection must not be forked
 * with it. The flags are files: the first is written with its port, the second when something is held, the third is waited for.
 */
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from "node:net";
import { untilTrue } from "../support/until-true.ts";

const [target = "", bytes = "", portFlag = "", heldFlag = "", releasedFlag = ""] = process.argv.slice(2);
const kept = new Map<Socket, Buffer[]>();
let isReleased = false;

const server = createServer((client) => {
	const toServer = connect(JSON.parse(target) as NetConnectOpts);
	for (const socket of [client, toServer]) socket.on("error", () => {}).once("close", () => drop(client, toServer));
	client.on("data", (chunk) => toServer.write(chunk));
	let left = Number(bytes);
	toServer.on("data", (chunk: Buffer) => {
		const passed = isReleased ? chunk.length : Math.min(left, chunk.length);
		left -= passed;
		client.write(chunk.subarray(0, passed));
		if (passed === chunk.length) return;
		kept.set(client, [...(kept.get(client) ?? []), chunk.subarray(passed)]);
		raise(heldFlag, "");
	});
});
server.listen(0, "127.0.0.1", () => raise(portFlag, String((server.address() as AddressInfo).port)));
await untilTrue(() => existsSync(releasedFlag), { what: "what is held may go on", deadlineMillis: 30_000 });
isReleased = true;
for (const [client, chunks] of kept) client.write(Buffer.concat(chunks));

function drop(...sockets: Socket[]): void {
	for (const socket of sockets) socket.destroy();
}

function raise(flag: string, text: string): void {
	writeFileSync(`${flag}.new`, text);
	renameSync(`${flag}.new`, flag);
}
