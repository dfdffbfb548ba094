import { connect } from "node:net";
import { untilTrue } from "./until-true.ts";

/** The body of an answer, over a connection that the client would keep. */
export async function textOf(url: string): Promise<string> {
	const response = await fetch(url);
	if (!response.ok) throw new Error(`${url}: ${response.status}`);
	return response.text();
}

/** Waits until nobody listens there any more. */
export async function untilRefused(url: string): Promise<void> {
	await untilTrue(() => isRefused(url), { what: `${url} is refused`, deadlineMillis: 10_000 });
}

function isRefused(url: string): Promise<boolean> {
	const { hostname, port } = new URL(url);
	return new Promise((resolve, reject) => {
		const socket = connect({ host: hostname, port: Number(port) });
		socket.once("connect", () => {
			socket.destroy();
			resolve(false);
		});
		socket.once("error", (error: NodeJS.ErrnoException) => {
			if (error.code === "ECONNREFUSED") resolve(true);
			else if (error.code === "ECONNRESET") resolve(false);
			else reject(error);
		});
	});
}
