import { InheritedConnectionError } from "@forksafe/core";
import { expect } from "chai";
import type { Connection, QueryError } from "mysql2";
import { rejection } from "../../../../test/support/promises.ts";
import { afterThisTest } from "./set-up.ts";

/** Counts what mysql2 calls back with. */
export class Callback {
	readonly errors: (QueryError | null)[] = [];
	readonly call = (error: QueryError | null): void => void this.errors.push(error);
}

export async function expectInherited(promise: Promise<unknown>): Promise<InheritedConnectionError> {
	const error = await rejection(promise);
	expect(error).to.be.instanceOf(InheritedConnectionError).and.to.include({ code: "ERR_FORKSAFE_INHERITED" });
	return error as InheritedConnectionError;
}

/** What was thrown where nobody could catch it, from now to the end of the test. */
export function uncaught(): unknown[] {
	const errors: unknown[] = [];
	const mochas = process.listeners("uncaughtException");
	process.removeAllListeners("uncaughtException");
	process.on("uncaughtException", (error) => errors.push(error));
	afterThisTest(async () => {
		process.removeAllListeners("uncaughtException");
		for (const listener of mochas) process.on("uncaughtException", listener);
	});
	return errors;
}

/** `close()` is not in mysql2's types. */
export function endBy(connection: Connection, way: "close" | "destroy" | "end"): void {
	(connection as Connection & { close(): void })[way]();
}
