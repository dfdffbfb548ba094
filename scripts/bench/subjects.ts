/**
 * What is compared: one open connection, idle at the bottom of a pool with default options, taken and given back.
 *
 * Each subject loads its pool when it is opened: a process that measures one pool has not compiled the others.
 */
import { EventEmitter } from "node:events";
import process from "node:process";

export interface Subject<R = unknown> {
	acquire(): Promise<R>;
	release(resource: R): void;
}

export const subjectNames = [
	"array and one promise",
	"the same, one process.ppid",
	"forksafe, processWatch: always",
	"forksafe, processWatch: off",
	"tarn",
	"pg-pool",
] as const;

export type SubjectName = (typeof subjectNames)[number];

export async function openSubject(name: SubjectName): Promise<Subject> {
	switch (name) {
		case "array and one promise":
			return openArray(() => {});
		case "the same, one process.ppid":
			return openArray(lookAtParent);
		case "forksafe, processWatch: always":
			return openForksafe("always");
		case "forksafe, processWatch: off":
			return openForksafe("off");
		case "tarn":
			return openTarn();
		case "pg-pool":
			return openPgPool();
	}
}

class FakeConnection {
	isOpen = true;
}

/** What a pool cannot do without; its time is that of the loop around it and of its `await`. */
function openArray(look: () => void): Subject<FakeConnection> {
	const idle = [new FakeConnection()];
	return {
		acquire: () => {
			look();
			return Promise.resolve(idle.pop() as FakeConnection);
		},
		release: (connection) => void idle.push(connection),
	};
}

const parentPid = process.ppid;

function lookAtParent(): void {
	if (process.ppid !== parentPid) throw new Error("the controller has died");
}

async function openForksafe(processWatch: "always" | "off"): Promise<Subject<FakeConnection>> {
	// What users install is measured, not the sources.
	const resolved = import.meta.resolve("@forksafe/core");
	if (!resolved.endsWith("/dist/index.js")) throw new Error(`@forksafe/core is not the built package, but ${resolved}`);
	const { Pool } = await import("@forksafe/core");
	const driver = {
		connect: () => new FakeConnection(),
		isAlive: (connection: FakeConnection) => connection.isOpen,
		destroy: () => {},
		discard: () => {},
	};
	const pool = new Pool<FakeConnection>(driver, { processWatch });
	return { acquire: () => pool.acquire(), release: (connection) => pool.release(connection) };
}

async function openTarn(): Promise<Subject<FakeConnection>> {
	const { Pool } = await import("tarn");
	const pool = new Pool<FakeConnection>({
		create: async () => new FakeConnection(),
		validate: (connection) => connection.isOpen,
		destroy: () => {},
		min: 0,
		max: 10,
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
	const options: object = { Client: FakeClient };
	const pool = new pg.Pool(options);
	return { acquire: () => pool.connect(), release: (client) => client.release() };
}
