/**
 * What forksafe relies on inside mysql2 beyond its documented interface, read from mysql2 3.24.6
 * (`lib/base/connection.js`, `lib/commands/`). `assertMysqlInternals` fails with a clear message when another version has
 * changed it. What the pool relies on: mysql-pool-internals.ts.
 *
 * All that a connection writes goes through its stream, and every command through `addCommand`, which is replaced on the
 * instance when the connection ends. `close()` and `destroy()` are `stream.end()`, which sends a FIN.
 */
import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";

/** `lib/commands/`: one exchange with the server. Without a callback in `onResult` it emits its error. */
export interface MysqlCommand extends EventEmitter {
	onResult?: ((error: Error | null, ...results: unknown[]) => void) | undefined;
	/** Fires when the server is too slow. */
	queryTimeout?: NodeJS.Timeout | null;
	/** Of an Execute: what it executes, once that is prepared. */
	statement?: object | undefined;
}

/** `lib/base/connection.js` */
export interface MysqlConnectionInternals extends EventEmitter {
	/** Plain at first; the TLS stream takes its place. */
	stream: Socket;
	readonly config: object;
	/** What is going on, and what comes after it. */
	_command: MysqlCommand | null | undefined;
	_commands: { readonly length: number; shift(): MysqlCommand | undefined };
	_fatalError: Error | null;
	_protocolError: Error | null;
	/** Whatever becomes of the stream now is expected. */
	_closing?: boolean;
	connectTimeout?: NodeJS.Timeout | null;
	threadId: number | null;
	/** Replaced when the connection ends. */
	addCommand(command: MysqlCommand): MysqlCommand;
	/** What the stream fails with, and what `write` calls back with, ends here. */
	_handleFatalError(error: Error): void;
	startTLS(onSecure: (error?: Error) => void): void;
	end(callback?: (error: Error | null) => void): unknown;
	/** Of a pool's connection, whose `end` gives it back. */
	_realEnd?: (callback?: (error: Error | null) => void) => unknown;
	ping(callback: (error: Error | null) => void): void;
}

/** In the configuration of a connection. */
export const SECRETS: readonly string[] = ["password", "password1", "password2", "password3", "passwordSha1"];

const RELIED_ON: Readonly<Record<string, readonly string[]>> = {
	config: ["object"],
	_commands: ["object"],
	_command: ["object", "undefined"],
	_fatalError: ["object"],
	_protocolError: ["object"],
	stream: ["object"],
	addCommand: ["function"],
	_handleFatalError: ["function"],
	startTLS: ["function"],
	end: ["function"],
	ping: ["function"],
};

/** @throws Error naming the members that this mysql2 does not have any more, or has as something else */
export function assertMysqlInternals(connection: object): asserts connection is MysqlConnectionInternals {
	const members = connection as Record<string, unknown>;
	const missing = Object.entries(RELIED_ON)
		.filter(([name, types]) => !(name in members) || !types.includes(typeof members[name]))
		.map(([name]) => name);
	if (missing.length > 0) {
		throw new Error(
			`@forksafe/mysql2 relies on ${missing.join(", ")} of a connection of mysql2, which this version of mysql2 does not have`,
		);
	}
}
