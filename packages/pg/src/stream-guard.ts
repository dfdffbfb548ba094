import { guardStream } from "@forksafe/core";
import type { PgConnectionInternals } from "./pg-internals.ts";

/**
 * Lets nothing be written that may not be: neither by the plain stream nor by the TLS stream that takes its place.
 *
 * @param refusal why nothing may be written, or undefined
 */
export function guardConnection(connection: PgConnectionInternals, refusal: () => Error | undefined): void {
	const plain = connection.stream;
	guardStream(plain, refusal);
	const { attachListeners } = connection;
	connection.attachListeners = (stream) => {
		// TLS is another stream, which has taken the place of the plain one by now.
		if (stream !== plain) guardStream(stream, refusal);
		attachListeners.call(connection, stream);
	};
}
