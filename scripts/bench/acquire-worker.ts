/**
 * One workload, one pool, one round, in a process of its own:
 * `node acquire-worker.ts WORKLOAD POOL time|allocation OPERATIONS WARM_UP_MILLIS CONNECTIONS WAITERS`. Writes one line of JSON.
 *
 * `allocation` needs `--expose-gc` and a young generation that holds everything the window allocates.
 */
import { once } from "node:events";
import { PerformanceObserver, performance } from "node:perf_hooks";
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { openSubject, type SubjectName } from "./pool-subjects.ts";
import { type Scale, type Workload, type WorkloadName, workloads } from "./workloads.ts";

export interface TimeSample {
	/** Nanoseconds per operation during which the event loop was busy: waiting for a time-out is no work. */
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

/** The event loop turns now and then, as it does in an application. */
const LEAST_OPERATIONS_PER_TURN = 5_000;

const [workloadName, subjectName, kind, ...numbers] = process.argv.slice(2);
const [operations = 0, warmUpMillis = 0, connections = 0, waiters = 0] = numbers.map(Number);
const workload: Workload = workloads[workloadName as WorkloadName];
const scale: Scale = { connections, waiters };
const lot = workload.lot?.(scale) ?? 1;
const operationsPerTurn = Math.ceil(LEAST_OPERATIONS_PER_TURN / lot) * lot;
const subject = await openSubject(subjectName as SubjectName, { connections, ...workload.options });
await workload.prepare?.(subject, scale);
await warmUp(warmUpMillis);
const measure = kind === "time" ? measureTime : measureAllocation;
const sample = await measure(operations);
if (!process.stdout.write(`${JSON.stringify(sample)}\n`)) await once(process.stdout, "drain");
// Timers of pools would keep the process for seconds.
process.exit();

async function warmUp(millis: number): Promise<void> {
	const end = performance.now() + millis;
	let done = 0;
	while (done < workload.leastWarmUp || performance.now() < end) {
		done += await runInTurns(operationsPerTurn);
	}
}

/** @returns how many it were: so many at the least */
async function run(operations: number): Promise<number> {
	if (!workload.isAtOnce) return runInTurns(operations);
	await workload.run(subject, operations, scale);
	return operations;
}

async function runInTurns(operations: number): Promise<number> {
	let done = 0;
	for (; done < operations; done += operationsPerTurn) {
		await workload.run(subject, operationsPerTurn, scale);
		await setImmediate();
	}
	return done;
}

async function measureTime(operations: number): Promise<TimeSample> {
	await setImmediate();
	const cpuBefore = process.cpuUsage();
	const before = performance.eventLoopUtilization();
	const done = await run(operations);
	const { active } = performance.eventLoopUtilization(before);
	const cpu = process.cpuUsage(cpuBefore);
	return { wall: (active * 1e6) / done, cpu: ((cpu.user + cpu.system) * 1000) / done };
}

async function measureAllocation(operations: number): Promise<AllocationSample> {
	if (globalThis.gc === undefined) throw new Error("this needs --expose-gc");
	let collections = 0;
	const count = (found: number): void => {
		collections += found;
	};
	globalThis.gc();
	// The collection has left its mark on inline caches and free lists; these operations take it away.
	await runInTurns(operationsPerTurn);
	const observer = new PerformanceObserver((list) => count(list.getEntries().length));
	observer.observe({ entryTypes: ["gc"] });
	const before = getHeapStatistics().used_heap_size;
	const done = await run(operations);
	const after = getHeapStatistics().used_heap_size;
	// A collection is reported a turn later.
	await setImmediate();
	await setImmediate();
	count(observer.takeRecords().length);
	observer.disconnect();
	return { bytes: (after - before) / done, collections };
}
