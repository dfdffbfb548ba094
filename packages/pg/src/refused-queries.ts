/** What becomes of the queries of a client that another process has opened. */
import process from "node:process";
import { InheritedConnectionError, type ProcessChange } from "@forksafe/core";
import type { PgClientInternals, PgConnectionInternals } from "./pg-internals.ts";

/** Fails what runs, what was sent behind it and what is queued. An error for each: their owners may write into it. */
export function refuseQueries(inside: PgClientInternals, change: ProcessChange): void {
	const queries = [inside._getActiveQuery(), ...inside._sentQueryQueue, ...inside._queryQueue];
	inside._activeQuery = null;
	inside._sentQueryQueue.length = inside._queryQueue.length = 0;
	for (const query of queries) {
		// Not in this turn, as pg does it.
		process.nextTick(() => query?.handleError(new InheritedConnectionError(change), inside.connection));
	}
}

/** A cursor that is closed waits for a ReadyForQuery that this process will never read. */
export function releaseCursors(connection: PgConnectionInternals): void {
	const answer = (): void => process.nextTick(() => connection.emit("readyForQuery", { status: null }));
	connection.close = answer;
	answer();
}
