import type { Duplex } from "node:stream";
import type { PgConnectionInternals } from "./pg-internals.ts";

/**
 * Lets nothing be written that may not be: neither by the plain stream nor by the TLS stream that takes its place.
 *
 * @param inherited why nothing may be written, or undefined
 */
export function guardConnection(connection: PgConnectionInternals, inherited: () => Error | undefined): void {
	const plain = connection.stream;
	guardStream(plain, inherited);
	const { attachListeners } = connection;
	connection.attachListeners = (stream) => {
		// TLS is another stream, which has taken the place of the plain one by now.
		if (stream !== plain) guardStream(stream, inherited);
		attachListeners.call(connection, stream);
	};
}

/** The lowest place in JavaScript: below it, bytes are on their way to the kernel. */
function guardStream(stream: Duplex, inherited: () => Error | undefined): void {
	const write = stream._write;
	stream._write = (chunk, encoding, done) => {
		const error = inherited();
		if (error === undefined) write.call(stream, chunk, encoding, done);
		else done(error);
	};
	const writev = stream._writev;
	if (writev) {
		stream._writev = (chunks, done) => {
			const error = inherited();
			if (error === undefined) writev.call(stream, chunks, done);
			else done(error);
		};
	}
	const final = stream._final;
	if (final) {
		stream._final = (done) => {
			const error = inherited();
			if (error === undefined) final.call(stream, done);
			else done(error);
		};
	}
}
