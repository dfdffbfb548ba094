/**
 * What a pool holds of memory: `node --expose-gc memory-worker.ts pool NAME`, over connections that do nothing, or
 * `... face NAME URL`, over real ones. Writes one line of JSON.
 */
import { once } from "node:events";
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { type OpenFace, openFace } from "./faces.ts";
import { openSubject, type Subject, type SubjectName } from "./pool-subjects.ts";

/** In bytes of heap, and of what it holds outside. */
export interface MemorySample {
	/** Of a pool that has not connected yet. */
	readonly pool: number;
	/** Of each connection that is idle in it. */
	readonly connection: number;
}

const POOLS = 100;
const FAKE_CONNECTIONS = 1_000;
const REAL_CONNECTIONS = 50;
const COLLECTIONS = 5;

if (import.meta.main) {
	const [kind = "", name = "", url = ""] = process.argv.slice(2);
	const sample = await (kind === "pool" ? measurePool(name as SubjectName) : measureFace(name, url));
	if (!process.stdout.write(`${JSON.stringify(sample)}\n`)) await once(process.stdout, "drain");
	process.exit();
}

async function measurePool(name: SubjectName): Promise<MemorySample> {
	// The first has everything loaded and compiled.
	const first = await openSubject(name, { connections: FAKE_CONNECTIONS });
	await useAll(await openSubject(name, { connections: FAKE_CONNECTIONS }), FAKE_CONNECTIONS);
	const before = await heldBytes();
	const pools: Subject[] = [];
	for (let i = 0; i < POOLS; i++) pools.push(await openSubject(name, { connections: FAKE_CONNECTIONS }));
	const empty = await heldBytes();
	await useAll(first, FAKE_CONNECTIONS);
	const full = await heldBytes();
	if (pools.length !== POOLS) throw new Error("unreachable");
	return { pool: (empty - before) / POOLS, connection: (full - empty) / FAKE_CONNECTIONS };
}

async function useAll(subject: Subject, connections: number): Promise<void> {
	const all = await Promise.all(Array.from({ length: connections }, () => subject.acquire()));
	for (const resource of all) subject.release(resource);
}

async function measureFace(name: string, url: string): Promise<MemorySample> {
	const open = () => openFace(name, url, REAL_CONNECTIONS);
	// The first has everything loaded and compiled.
	const first = await open();
	await askAtOnce(first);
	await first.end();
	const face = await open();
	await face.ask["select by primary key"](1);
	const before = await heldBytes();
	const pools: unknown[] = [];
	for (let i = 0; i < POOLS; i++) pools.push(await open());
	const empty = await heldBytes();
	await askAtOnce(face);
	const full = await heldBytes();
	if (pools.length !== POOLS) throw new Error("unreachable");
	return { pool: (empty - before) / POOLS, connection: (full - empty) / (REAL_CONNECTIONS - 1) };
}

/** So much that no connection is left closed. */
async function askAtOnce(face: OpenFace): Promise<void> {
	const ask = face.ask["transaction of three statements"];
	await Promise.all(Array.from({ length: 4 * REAL_CONNECTIONS }, (_, i) => ask(i + 1)));
}

async function heldBytes(): Promise<number> {
	if (globalThis.gc === undefined) throw new Error("this needs --expose-gc");
	for (let i = 0; i < COLLECTIONS; i++) {
		// What finalizers and closed handles let go is gone a turn later.
		await setImmediate();
		globalThis.gc();
	}
	const { heapUsed, external } = process.memoryUsage();
	return heapUsed + external;
}
