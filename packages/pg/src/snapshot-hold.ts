import type { Client } from "./client.ts";
import { internals } from "./pg-internals.ts";
import { ref, unref } from "./process-hold.ts";

/** What the server says when it has nothing more to say: an answer is complete, a cursor waits to read on, a COPY for its data. */
const ANSWERED = ["readyForQuery", "portalSuspended", "copyInResponse"] as const;

/**
 * For a client that is made while a start-up snapshot is built: it keeps the event loop alive only as long as the server has
 * something to answer. So the build is over, and can fail, also when somebody has forgotten it.
 *
 * @returns to be called before anything is written
 */
export function holdWhileAnswering(client: Client): () => void {
	const inside = internals(client);
	const release = (): void => {
		if (inside._sentQueryQueue.length === 0) unref(client);
	};
	// Before pg's own listeners, which send the next query.
	for (const event of ANSWERED) inside.connection.on(event, release);
	return () => ref(client);
}
