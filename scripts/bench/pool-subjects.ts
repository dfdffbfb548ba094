/**
 * The pools that are compared, each over a driver that does nothing, of ten connections where nothing else is said, with default
 * options otherwise.
 *
 * Each subject loads its pool when it is opened: a process that measures one pool has not compiled the others.
 */
import { EventEmitter } from "node:events";
import process from "node:process";
import type { ProcessWatch } from "@forksafe/core";
import { BarePool } from "./bare-pool.ts";
import { installSentinel, needBuilt } from "./built-packages.ts";
import { FakeConnection } from "./fake-connection.ts";

export interface Subject<R = unknown> {
	acquire(signal?: AbortSignal): Promise<R>;
	release(resource: R): void;
}

export interface SubjectOptions {
	/** @default 10 */
	connections?: number;
	/** Whoever waits gives up after this time; forksafe's pools only. Default: the pool's own. */
	acquireTimeoutMillis?: number;
}

export const CONNECTIONS = 10;
export const NOTHING = "no pool: the loop and its await";
export const BARE = "array stack, queue, one promise";
const BARE_WITH_LOOK = "the same, one process.ppid";
export const WITH_SENTINEL = "forksafe, with the sentinel";

export const subjectNames = [
	NOTHING,
	BARE,
	BARE_WITH_LOOK,
	WITH_SENTINEL,
	"forksafe, processWatch: always",
	"forksafe, processWatch: off",
	"lightning-pool",
	"generic-pool",
	"pg-pool",
	"tarn",
] as const;

export type SubjectName = (typeof subjectNames)[number];

/** All that can be waited for. */
export const poolNames = subjectNames.filter((name) => name !== NOTHING && name !== BARE_WITH_LOOK);

export async function openSubject(name: SubjectName, options: SubjectOptions = {}): Promise<Subject> {
	const { connections = CONNECTIONS } = options;
	switch (name) {
		case NOTHING:
			return openNothing();
		case BARE:
			return new BarePool(connections);
		case BARE_WITH_LOOK:
			return new BarePool(connections, lookAtParent);
		case WITH_SENTINEL:
			await installSentinel();
			return openForksafe({ processWatch: "always", ...options });
		case "forksafe, processWatch: always":
			return openForksafe({ processWatch: "always", ...options });
		case "forksafe, processWatch: off":
			return openForksafe({ processWatch: "off", ...options });
		case "lightning-pool":
			return openLightningPool(connections);
		case "generic-pool":
			return openGenericPool(connections);
		case "pg-pool":
			return openPgPool(connections);
		case "tarn":
			return openTarn(connections);
	}
}

const parentPid = process.ppid;

function lookAtParent(): void {
	if (process.ppid !== parentPid) throw new Error("the controller has died");
}

function openNothing(): Subject<undefined> {
	const resolved = Promise.resolve(undefined);
	return { acquire: () => resolved, release: () => {} };
}

export async function openForksafe({
	connections: max = CONNECTIONS,
	...options
}: { processWatch: ProcessWatch } & SubjectOptions): Promise<Subject<FakeConnection>> {
	needBuilt("@forksafe/core");
	const { Pool } = await import("@forksafe/core");
	const driver = {
		connect: () => new FakeConnection(),
		isAlive: (connection: FakeConnection) => connection.isOpen,
		// Drivers of databases have one, and a pool that has somebody to ask looks at the clock.
		validate: async (connection: FakeConnection) => connection.isOpen,
		destroy: () => {},
		discard: () => {},
	};
	const pool = new Pool<FakeConnection>(driver, { max, ...options });
	return {
		acquire: (signal) => (signal === undefined ? pool.acquire() : pool.acquire({ signal })),
		release: (connection) => pool.release(connection),
	};
}

async function openLightningPool(max: number): Promise<Subject<FakeConnection>> {
	const { Pool } = await import("lightning-pool");
	const pool = new Pool<FakeConnection>(
		{ create: async () => new FakeConnection(), destroy: () => {} },
		{ max, maxQueue: Number.MAX_SAFE_INTEGER },
	);
	return { acquire: () => pool.acquire(), release: (connection) => pool.release(connection) };
}

async function openGenericPool(max: number): Promise<Subject<FakeConnection>> {
	const { createPool } = await import("generic-pool");
	const pool = createPool<FakeConnection>({ create: async () => new FakeConnection(), destroy: async () => {} }, { max });
	return {
		acquire: () => pool.acquire(),
		release: (connection) => void pool.release(connection),
	};
}

async function openTarn(max: number): Promise<Subject<FakeConnection>> {
	const { Pool } = await import("tarn");
	const pool = new Pool<FakeConnection>({
		create: async () => new FakeConnection(),
		validate: (connection) => connection.isOpen,
		destroy: () => {},
		min: 0,
		max,
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

async function openPgPool(max: number): Promise<Subject<ReleasableClient>> {
	const { default: pg } = await import("pg");
	// pg's types ask for a whole pg.Client here.
	const options: object = { Client: FakeClient, max };
	const pool = new pg.Pool(options);
	return { acquire: () => pool.connect(), release: (client) => client.release() };
}
