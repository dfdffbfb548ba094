import type { Server } from "node:http";

/** Takes no more requests, and resolves when those under way are answered. */
export function closeServer(server: Server): Promise<void> {
	// A client that keeps its connection for a next request would hold us up: by then its connection is idle.
	const idle = setInterval(() => server.closeIdleConnections(), 50);
	return new Promise((resolve) => {
		server.close(() => {
			clearInterval(idle);
			resolve();
		});
	});
}
