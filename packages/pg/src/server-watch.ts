import type { Client } from "./client.ts";
import { internals } from "./pg-internals.ts";
import { concernsServer, READ_ONLY, type ServerMessage } from "./server-messages.ts";

/**
 * A server that refuses to write may be the one that is meant, and the statement the mistake: then new clients are refused
 * as well, and to replace them over and over is of no use.
 */
const READ_ONLY_PAUSE_MILLIS = 1_000;

/**
 * Hears from the clients of a pool when their server shuts down, has crashed or is no longer the primary: then the others
 * are of no use any more either. Each of them may say so.
 */
export class ServerWatch<C extends Client = Client> {
	readonly #onServerLost: (client: C) => void;
	#lastReadOnly = Number.NEGATIVE_INFINITY;

	constructor(onServerLost: (client: C) => void) {
		this.#onServerLost = onServerLost;
	}

	/** From now on, for the life of the client. */
	watch(client: C): void {
		const hear = (message: ServerMessage): void => {
			if (!concernsServer(message, client.isReadOnly) || client.isInherited()) return;
			if (message.code === READ_ONLY) {
				const now = performance.now();
				// It begins anew in a process that starts from a snapshot.
				if (now >= this.#lastReadOnly && now - this.#lastReadOnly < READ_ONLY_PAUSE_MILLIS) return;
				this.#lastReadOnly = now;
			}
			this.#onServerLost(client);
		};
		const { connection } = internals(client);
		connection.on("errorMessage", hear);
		connection.on("notice", hear);
	}
}
