import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
	".css": "text/css",
	".html": "text/html; charset=utf-8",
	".js": "text/javascript",
	".json": "application/json",
	".png": "image/png",
	".svg": "image/svg+xml",
};

/** Serves a directory on loopback as a plain web server would: a missing file is a 404. */
export async function serve(directory: string): Promise<{ url: string; close(): void }> {
	const server = createServer((request, response) => {
		const path = decodeURI(new URL(request.url ?? "/", "http://localhost").pathname);
		const file = join(directory, path.endsWith("/") ? `${path}index.html` : path);
		readFile(file).then(
			(body) => response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(body),
			() => response.writeHead(404, { "content-type": "text/plain" }).end("not found"),
		);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		close: () => {
			server.close();
			server.closeAllConnections();
		},
	};
}
