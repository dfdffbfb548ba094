/**
 * What forksafe relies on inside Knex beyond its documented interface, read from Knex 3.3.0 (`lib/client.js`,
 * `lib/dialects/postgres/index.js`, `lib/dialects/mysql/index.js`) and the same in 3.1.0. `assertKnexInternals` fails with a clear message when another
 * version has changed it.
 *
 * Rules that follow from how Knex treats its clients: transactions and `withUserParams` copy a client by
 * `Object.create(prototype)` and `lodash.merge`, without its constructor. So there are no `#private` members and no class
 * fields on it, and what must be shared (pool, driver) is one instance of a class, which merge copies by reference.
 */
import type { Readable } from "node:stream";
import type { ProcessChange } from "@forksafe/core";
import type { Knex } from "knex";
// @ts-expect-error Knex has no types for it. Bundlers can follow it to the dialects.
import { getDialectByNameOrAlias } from "knex/lib/dialects/index.js";

/** A connection of ours, of whichever driver, with what Knex writes on it. */
export interface KnexConnection {
	/** @throws InheritedConnectionError when another process has opened it */
	assertOwn(): void;
	/** Forgets it, without a byte written. */
	discard(change: ProcessChange): void;
	/** Why Knex's own validation will not let it be used again. */
	__knex__disposed?: unknown;
}

/** `lib/client.js` and its PostgreSQL dialect: what is overridden or called, and is not in the types. */
export interface KnexClientInternals extends Knex.Client {
	/** False for a pool that the application has given (Knex 3.3). */
	_ownsPool: boolean;
	/** Returns what Knex calls `driver.Client` on. */
	_driver(): object;
	/** Opens a connection, and sets it up. */
	acquireRawConnection(): Promise<KnexConnection>;
	/** pg: the part of `acquireRawConnection` that opens it. */
	_acquireOnlyConnection(): Promise<KnexConnection>;
	getPoolSettings(pool: unknown): Record<string, unknown>;
	acquireConnection(): Promise<KnexConnection>;
	releaseConnection(connection: KnexConnection): Promise<void>;
	destroyRawConnection(connection: KnexConnection): Promise<void>;
	/** Makes what runs one query. */
	runner(builder: unknown): KnexRunnerInternals;
	/** Lets the rows of a query flow into `output`. */
	stream(connection: KnexConnection, query: unknown, output: Readable, options: unknown): Promise<void>;
}

/**
 * `lib/execution/runner.js`: one query. `stream` acquires from `client` and releases to it, twice in most cases: when the
 * query has ended, and when the stream is closed. `pipe` goes through it.
 */
export interface KnexRunnerInternals {
	client: KnexClientInternals;
	stream(...args: unknown[]): unknown;
}

/** `lib/execution/transaction.js`: sends what begins and ends a transaction. A commit and the release of a savepoint have `status` 1. */
export interface KnexTransactionInternals {
	query(connection: KnexConnection, sql: string, status?: number, value?: unknown): Promise<unknown>;
}

/** A Knex client class. */
export type KnexClientClass = typeof Knex.Client;

/** The drivers whose connections can be guarded. */
export type DriverName = "pg" | "mysql2";

/** Names of the dialects that have such a driver. */
export const DIALECTS: readonly string[] = ["pg", "postgres", "postgresql", "cockroachdb", "redshift", "mysql2"];

/** `lib/dialects/index.js`: loads one of Knex's own classes. */
type DialectLoader = (name: string) => KnexClientClass;

/** @returns Knex's own class, or undefined for a dialect with another driver */
export function dialectClass(name: string): KnexClientClass | undefined {
	return DIALECTS.includes(name) ? (getDialectByNameOrAlias as DialectLoader)(name) : undefined;
}

/**
 * By what Knex's client says of itself, not by which class it is: the application may have another copy of Knex.
 *
 * @returns undefined for a class with another driver
 */
export function driverOf(Client: KnexClientClass): DriverName | undefined {
	return driverPrototype(Client)?.driverName as DriverName | undefined;
}

/**
 * By the name of the class, for the same reason: it is a subclass of pg's, and does not say so before it is constructed. One
 * that went unnoticed would not be let loose either, but run over pg's own client.
 */
export function usesPgNative(Client: KnexClientClass): boolean {
	for (const prototype of prototypes(Client)) if (prototype.constructor.name === "Client_PgNative") return true;
	return false;
}

const RELIED_ON = [
	"_driver",
	"acquireRawConnection",
	"destroyRawConnection",
	"getPoolSettings",
	"initializePool",
	"releaseConnection",
	"runner",
	"stream",
	"transaction",
];
const RELIED_ON_OF_DRIVER: Record<DriverName, readonly string[]> = { pg: ["_acquireOnlyConnection", "cancelQuery"], mysql2: [] };
const RELIED_ON_IN_RUNNER = ["pipe", "stream"];

/** @throws Error naming the member that this Knex does not have any more */
export function assertKnexInternals(Client: KnexClientClass): void {
	const prototype = driverPrototype(Client);
	const ofDriver = prototype === undefined ? [] : RELIED_ON_OF_DRIVER[prototype.driverName as DriverName];
	assertMembers("client", Client.prototype, [...RELIED_ON, ...ofDriver]);
	// That of the same copy of Knex, which only its own client can make.
	const runner: object | undefined = prototype?.runner.call(Object.create(prototype), undefined);
	if (runner !== undefined) assertMembers("Runner", runner, RELIED_ON_IN_RUNNER);
}

function assertMembers(what: string, members: object, names: readonly string[]): void {
	const missing = names.filter((name) => typeof (members as Record<string, unknown>)[name] !== "function");
	if (missing.length > 0) {
		throw new Error(`@forksafe/knex relies on ${missing.join(", ")} of Knex's ${what}, which this version of Knex does not have`);
	}
}

/** Where a Knex client class has come to what all clients over its driver have in common. */
function driverPrototype(Client: KnexClientClass): KnexClientInternals | undefined {
	for (const prototype of prototypes(Client)) {
		if (Object.hasOwn(prototype, "driverName") && ["pg", "mysql2"].includes(prototype.driverName)) return prototype;
	}
	return undefined;
}

function* prototypes({ prototype }: KnexClientClass): Iterable<KnexClientInternals> {
	for (let next: object | null = prototype; next; next = Object.getPrototypeOf(next)) yield next as KnexClientInternals;
}
