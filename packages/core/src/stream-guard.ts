import type { Duplex } from "node:stream";

/**
 * Lets nothing be written by a stream that may not be: the lowest place in JavaScript, below which bytes are on their way to
 * the kernel.
 *
 * @param refusal why nothing may be written, or undefined
 */
export function guardStream(stream: Duplex, refusal: () => Error | undefined): void {
	const write = stream._write;
	stream._write = (chunk, encoding, done) => {
		const error = refusal();
		if (error === undefined) write.call(stream, chunk, encoding, done);
		else done(error);
	};
	const writev = stream._writev;
	if (writev) {
		stream._writev = (chunks, done) => {
			const error = refusal();
			if (error === undefined) writev.call(stream, chunks, done);
			else done(error);
		};
	}
	const final = stream._final;
	if (final) {
		stream._final = (done) => {
			const error = refusal();
			if (error === undefined) final.call(stream, done);
			else done(error);
		};
	}
}
