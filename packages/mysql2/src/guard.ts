/**
 * Makes a connection of mysql2 know which process has opened it.
 *
 * Everything that it sends begins in `addCommand`, and every byte passes its stream's `_write`, `_writev` and `_final`. Both
 * ask whose process this is. mysql2's own ways to end a connection all write: `end()` sends COM_QUIT, `close()` and
 * `destroy()` a FIN. So an inherited one is ended by `discardStream()`.
 */
import { errorMonitor } from "node:events";
import process from "node:process";
import {
	discardStream,
	guardStream,
	hideWhenPrinted,
	InheritedConnectionError,
	Ownership,
	type ProcessChange,
	type ProcessWatch,
} from "@forksafe/core";
import type { Connection } from "mysql2";
import { assertMysqlInternals, type MysqlCommand, type MysqlConnectionInternals, SECRETS } from "./mysql-internals.ts";

/** How a connection notices that its process has changed. */
export interface GuardOptions {
	/** As in a pool's options. @default "always" */
	processWatch?: ProcessWatch | undefined;
	/** Is told every error that the server, or mysql2, answers a command with, before its caller is. */
	onCommandError?: ((error: Error) => void) | undefined;
}

/** What {@link guard} adds to a connection of mysql2. */
export interface Guarded {
	/** Whether another process has opened this connection. Looks who this process is. */
	isInherited(): boolean;
	/** @throws InheritedConnectionError (ERR_FORKSAFE_INHERITED) when another process has opened this connection */
	assertOwn(): void;
	/**
	 * Forgets the connection without writing a byte: commands fail, `threadId` is null, the socket is closed in this process
	 * only.
	 */
	discard(change: ProcessChange): void;
}

/**
 * In a process other than the one that has opened it, the connection refuses to write from now on: commands fail with
 * InheritedConnectionError (ERR_FORKSAFE_INHERITED), `end()`, `close()` and `destroy()` say nothing to the server, and
 * `threadId`, by which its query could be killed, is null.
 *
 * @param connection of mysql2, just created (its promise form has one in `connection`)
 * @returns the connection itself
 * @throws OptionError (ERR_FORKSAFE_OPTION); Error when this version of mysql2 lacks what is relied on
 * @example
 * ```ts
 * const connection = guard(mysql.createConnection(process.env.DATABASE_URL));
 * ```
 */
export function guard<C extends Connection>(
	connection: C,
	{ processWatch = "always", onCommandError }: GuardOptions = {},
): C & Guarded {
	const inside: object = connection;
	assertMysqlInternals(inside);
	hideWhenPrinted(inside.config, SECRETS);
	// A query in progress has a copy of the configuration.
	Object.defineProperty(inside, "_command", { enumerable: false });
	const ownership = new Ownership(processWatch, (change) => forget(inside, change));
	ownership.begin();
	inside.stream.once("close", () => ownership.end());
	guardCommands(inside, ownership, onCommandError);
	guardThreadId(inside, ownership);
	const added: Guarded = {
		isInherited: () => ownership.isInherited(),
		assertOwn: () => ownership.assertOwn(),
		discard: (change) => ownership.lose(change),
	};
	return Object.assign(connection, added);
}

function guardCommands(
	inside: MysqlConnectionInternals,
	ownership: Ownership,
	onCommandError: GuardOptions["onCommandError"],
): void {
	/** The process was looked at in this very turn: what is written now needs no second look. */
	let hasLooked = false;
	const refusal = (): InheritedConnectionError | undefined => (hasLooked ? undefined : ownership.refusal());
	guardStream(inside.stream, refusal);
	const { startTLS, end } = inside;
	let { addCommand } = inside;
	inside.startTLS = (onSecure) => {
		startTLS.call(inside, onSecure);
		guardStream(inside.stream, refusal);
	};
	const add = (command: MysqlCommand): MysqlCommand => {
		if (ownership.isInherited()) {
			refuse(command, ownership.change as ProcessChange);
			return command;
		}
		if (onCommandError !== undefined) watch(command, onCommandError);
		hasLooked = true;
		try {
			return addCommand.call(inside, command);
		} finally {
			hasLooked = false;
		}
	};
	Object.defineProperty(inside, "addCommand", {
		get: () => add,
		// mysql2 does so when the connection ends, for what comes later to be refused in its words.
		set: (value: MysqlConnectionInternals["addCommand"]) => {
			addCommand = value;
		},
		configurable: true,
		enumerable: true,
	});
	inside.end = (callback) => {
		if (!ownership.isInherited()) return end.call(inside, callback);
		if (callback) process.nextTick(callback, null);
	};
}

/** A command has a callback, or emits its error. */
function watch(command: MysqlCommand, onError: (error: Error) => void): void {
	const { onResult } = command;
	if (onResult === undefined) {
		command.on(errorMonitor, onError);
		return;
	}
	command.onResult = (error, ...results) => {
		if (error) onError(error);
		onResult.call(command, error, ...results);
	};
}

/** mysql2 keeps it in a plain property, and whoever kills a query sends what it finds there: to read it is to ask. */
function guardThreadId(inside: MysqlConnectionInternals, ownership: Ownership): void {
	let threadId = inside.threadId;
	Object.defineProperty(inside, "threadId", {
		get: () => (ownership.isInherited() ? null : threadId),
		set: (value: number | null) => {
			threadId = value;
		},
		configurable: true,
		enumerable: true,
	});
}

function forget(inside: MysqlConnectionInternals, change: ProcessChange): void {
	clearTimeout(inside.connectTimeout ?? undefined);
	inside._closing = true;
	// With it mysql2 tells nobody else of an error, what `write` calls back with among them: without a listener it would be
	// thrown. And a `connect()` that comes later is called back with it.
	inside._fatalError = new InheritedConnectionError(change);
	inside._handleFatalError = () => {};
	const commands = [inside._command, ...takeAll(inside._commands)];
	inside._command = null;
	for (const command of commands) if (command) refuse(command, change);
	discardStream(inside.stream, change);
	// Whoever waits for the connect, or listens, is told. Without a listener `error` would be thrown.
	process.nextTick(() => inside.listenerCount("error") > 0 && inside.emit("error", new InheritedConnectionError(change)));
}

function takeAll(commands: MysqlConnectionInternals["_commands"]): MysqlCommand[] {
	return Array.from({ length: commands.length }, () => commands.shift() as MysqlCommand);
}

/** Not in this turn, as mysql2 does it. An error for each: their owners may write into it. */
function refuse(command: MysqlCommand, change: ProcessChange): void {
	clearTimeout(command.queryTimeout ?? undefined);
	if (isUnpreparedExecute(command)) {
		// Its Prepare, which stands before it, has the same callback; or emits the error here, whether there is a listener or not.
		if (command.listenerCount("error") === 0) command.on("error", () => {});
		return;
	}
	process.nextTick(() => {
		const error = new InheritedConnectionError(change);
		if (command.onResult) command.onResult(error);
		else if (command.listenerCount("error") > 0) command.emit("error", error);
	});
}

function isUnpreparedExecute(command: MysqlCommand): boolean {
	return "statement" in command && command.statement === undefined;
}
