import type { Duplex } from "node:stream";
import type { ProcessChange } from "./process-change.ts";

/** What node:net and node:tls have below a socket; read from Node 22, 24 and 26. */
interface Handle {
	readStop(): void;
	unref(): void;
	/** Of TLS: the socket below. */
	readonly _parentWrap?: Socket;
}

interface Socket extends Duplex {
	_handle?: Handle | null;
	setKeepAlive?(enable: boolean): unknown;
}

/** Sockets that must not be closed. They end with the process. */
const quarantined = new Set<unknown>();

/**
 * Forgets the stream of an inherited connection without a byte: what `discard` of a driver does with its sockets. The stream is
 * destroyed, as far as JavaScript can see. So is the descriptor after a fork, where the kernel says nothing as long as the
 * other process has its own. In a copy of a whole machine, whose kernel would send a FIN for the original's connection, the
 * socket is kept open instead, unread, and lets the process exit.
 */
export function discardStream(stream: Duplex, change: ProcessChange): void {
	if (isWholeMachine(change)) quarantine(stream);
	stream.destroy();
}

/** A process that is a copy has another pid, unless everything around it was copied as well. */
function isWholeMachine({ cause, pid, previousPid }: ProcessChange): boolean {
	return cause === "clone" || (cause === "reported" && pid === previousPid);
}

/** Takes the socket from below the stream: what is destroyed then is the stream alone. */
function quarantine(stream: Socket): void {
	const handle = stream._handle;
	if (!handle) return;
	stream.setKeepAlive?.(false);
	handle.readStop();
	handle.unref();
	stream._handle = null;
	quarantined.add(handle);
	// Their closures hold the whole connection.
	stream.once("close", () => setImmediate(() => stream.removeAllListeners().on("error", () => {})));
	const below = handle._parentWrap;
	if (below === undefined) return;
	quarantine(below);
	below.destroy(); // drivers may have their listeners there
}
