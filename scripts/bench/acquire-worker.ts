/**
 * One pool, one round, in a process of its own: `node acquire-worker.ts POOL time|allocation OPERATIONS WARM_UP_MILLIS`.
 * Writes one line of JSON.
 *
 * `allocation` needs `--expose-gc` and a young generation that holds everything the window allocates.
 */
import { once } from "node:events";
import { PerformanceObserver } from "node:perf_hooks";
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { openSubject, type Subject, type SubjectName } from "./subjects.ts";

export interface TimeSample {
	/** Nanoseconds per operation. */
	wall: number;
	/** Nanoseconds per operation of all threads: garbage collection and compilation included. */
	cpu: number;
}

export interface AllocationSample {
	/** Bytes of heap per operation. */
	bytes: number;
	/** How many collections there were in the window: with one, `bytes` is too low. */
	collections: number;
}

const LEAST_WARM_UP_OPERATIONS = 100_000;
/** The event loop turns now and then, as it does in an application. */
const OPERATIONS_PER_TURN = 5_000;

const [name, kind, operations, warmUpMillis] = process.argv.slice(2);
const subject = await openSubject(name as SubjectName);
await warmUp(subject, Number(warmUpMillis));
const measure = kind === "time" ? measureTime : measureAllocation;
const sample = await measure(subject, Number(operations));
if (!process.stdout.write(`${JSON.stringify(sample)}\n`)) await once(process.stdout, "drain");
// Timers of pools would keep the process for seconds.
process.exit();

async function warmUp(subject: Subject, millis: number): Promise<void> {
	const end = performance.now() + millis;
	let done = 0;
	while (done < LEAST_WARM_UP_OPERATIONS || performance.now() < end) {
		await run(subject, OPERATIONS_PER_TURN);
		done += OPERATIONS_PER_TURN;
	}
}

async function run(subject: Subject, operations: number): Promise<void> {
	for (let left = operations; left > 0; left -= OPERATIONS_PER_TURN) {
		await acquireAndRelease(subject, Math.min(left, OPERATIONS_PER_TURN));
		await setImmediate();
	}
}

/** One connection, one user, one operation after the other. */
async function acquireAndRelease(subject: Subject, operations: number): Promise<void> {
	for (let i = 0; i < operations; i++) {
		const resource = await subject.acquire();
		subject.release(resource);
	}
}

async function measureTime(subject: Subject, operations: number): Promise<TimeSample> {
	const cpuBefore = process.cpuUsage();
	const before = process.hrtime.bigint();
	await run(subject, operations);
	const wall = Number(process.hrtime.bigint() - before);
	const cpu = process.cpuUsage(cpuBefore);
	return { wall: wall / operations, cpu: ((cpu.user + cpu.system) * 1000) / operations };
}

async function measureAllocation(subject: Subject, operations: number): Promise<AllocationSample> {
	if (globalThis.gc === undefined) throw new Error("this needs --expose-gc");
	let collections = 0;
	const count = (found: number): void => {
		collections += found;
	};
	globalThis.gc();
	// The collection has left its mark on inline caches and free lists; these operations take it away.
	await run(subject, OPERATIONS_PER_TURN);
	const observer = new PerformanceObserver((list) => count(list.getEntries().length));
	observer.observe({ entryTypes: ["gc"] });
	const before = getHeapStatistics().used_heap_size;
	await run(subject, operations);
	const after = getHeapStatistics().used_heap_size;
	// A collection is reported a turn later.
	await setImmediate();
	await setImmediate();
	count(observer.takeRecords().length);
	observer.disconnect();
	return { bytes: (after - before) / operations, collections };
}
