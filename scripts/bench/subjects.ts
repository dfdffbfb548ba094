/**
 * The pools that are compared, each of ten connections over a driver that does nothing, with default options otherwise.
 *
 * Each subject loads its pool when it is opened: a process that measures one pool has not compiled the others.
 */
import { EventEmitter } from "node:events";
import process from "node:process";
import type { ProcessWatch } from "@forksafe/core";
import { BarePool } from "./bare-pool.ts";
import { FakeConnection } from "./fake-connection.ts";

export interface Subject<R = unknown> {
	acquire(signal?: AbortSignal): Promise<R>;
	release(resource: R): void;
}

export interface SubjectOptions {
	/** Whoever waits gives up after this time; forksafe's pools only. Default: the pool's own. */
	acquireTimeoutMillis?: number;
}

export const CONNECTIONS = 10;
export const BARE = "array stack, queue, one promise";

export const subjectNames = [
	BARE,
	"the same, one process.ppid",
	"forksafe, processWatch: always",
	"forksafe, processWatch: off",
	"lightning-pool",
	"generic-pool",
	"pg-pool",
	"tarn",
] as const;

export type SubjectName = (typeof subjectNames)[number];

export async function openSubject(name: SubjectName, options: SubjectOptions = {}): Promise<Subject> {
	switch (name) {
		case BARE:
			return new BarePool(CONNECTIONS);
		case "the same, one process.ppid":
			return new BarePool(CONNECTIONS, lookAtParent);
		case "forksafe, processWatch: always":
			return openForksafe({ processWatch: "always", ...options });
		case "forksafe, processWatch: off":
			return openForksafe({ processWatch: "off", ...options });
		case "lightning-pool":
			return openLightningPool();
		case "generic-pool":
			return openGenericPool();
		case "pg-pool":
			return openPgPool();
		case "tarn":
			return openTarn();
	}
}

const parentPid = process.ppid;

function lookAtParent(): void {
	if (process.ppid !== parentPid) throw new Error("the controller has died");
}

export async function openForksafe(options: { processWatch: ProcessWatch } & SubjectOptions): Promise<Subject<FakeConnection>> {
	// What users install is measured, not the sources.
	const resolved = import.meta.resolve("@forksafe/core");
	if (!resolved.endsWith("/dist/index.js")) throw new Error(`@forksafe/core is not the built package, but ${resolved}`);
	const { Pool } = await import("@forksafe/core");
	const driver = {
		connect: () => new FakeConnection(),
		isAlive: (connection: FakeConnection) => connection.isOpen,
		// Drivers of databases have one, and a pool that has somebody to ask looks at the clock.
		validate: async (connection: FakeConnection) => connection.isOpen,
		destroy: () => {},
		discard: () => {},
	};
	const pool = new Pool<FakeConnection>(driver, { max: CONNECTIONS, ...options });
	return {
		acquire: (signal) => (signal === undefined ? pool.acquire() : pool.acquire({ signal })),
		release: (connection) => pool.release(connection),
	};
}

async function openLightningPool(): Promise<Subject<FakeConnection>> {
	const { Pool } = await import("lightning-pool");
	const pool = new Pool<FakeConnection>(
		{ create: async () => new FakeConnection(), destroy: () => {} },
		{ max: CONNECTIONS, maxQueue: Number.MAX_SAFE_INTEGER },
	);
	return { acquire: () => pool.acquire(), release: (connection) => pool.release(connection) };
}

async function openGenericPool(): Promise<Subject<FakeConnection>> {
	const { createPool } = await import("generic-pool");
	const pool = createPool<FakeConnection>(
		{ create: async () => new FakeConnection(), destroy: async () => {} },
		{ max: CONNECTIONS },
	);
	return {
		acquire: () => pool.acquire(),
		release: (connection) => void pool.release(connection),
	};
}

async function openTarn(): Promise<Subject<FakeConnection>> {
	const { Pool } = await import("tarn");
	const pool = new Pool<FakeConnection>({
		create: async () => new FakeConnection(),
		validate: (connection) => connection.isOpen,
		destroy: () => {},
		min: 0,
		max: CONNECTIONS,
	});
	return { acquire: () => pool.acquire().promise, release: (connection) => void pool.release(connection) };
}

/** What pg-pool asks of a client. */
class FakeClient extends EventEmitter {
	readonly _queryable = true;
	readonly _ending = false;

	connect(done: () => void): void {
		process.nextTick(done);
	}

	end(done: () => void): void {
		process.nextTick(done);
	}

	ref(): void {}

	unref(): void {}
}

interface ReleasableClient {
	release(): void;
}

async function openPgPool(): Promise<Subject<ReleasableClient>> {
	const { default: pg } = await import("pg");
	// pg's types ask for a whole pg.Client here.
	const options: object = { Client: FakeClient, max: CONNECTIONS };
	const pool = new pg.Pool(options);
	return { acquire: () => pool.connect(), release: (client) => client.release() };
}
