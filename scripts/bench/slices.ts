import type { QueryOrder, Slice } from "./queries-worker.ts";
import type { Kind } from "./query-tables.ts";
import { STATEMENTS } from "./query-tables.ts";
import { inOrderOf } from "./statistics.ts";
import { WorkerProcess } from "./worker-process.ts";

export type QueryWorker = WorkerProcess<QueryOrder, Slice | undefined>;

/** At most 250: what else the machine does is to meet all that are compared. */
export const SLICE_MILLIS = 80;
/** Before each slice: a pool that has been left alone looks at its connections first, and caches are cold. */
export const LEAD_MILLIS = 20;
/** Of each face, in each worker. */
export const POOL_SIZE = 10;

/** Starts a worker that asks queries of this kind through the face of this name. */
export function startQueryWorker(url: string, kind: Kind, face: string): QueryWorker {
	return new WorkerProcess(new URL("./queries-worker.ts", import.meta.url), [url, String(POOL_SIZE), kind, face]);
}

export async function warmUp(workers: readonly QueryWorker[], kind: Kind, statements: number): Promise<void> {
	const queries = Math.ceil(statements / STATEMENTS[kind]);
	await Promise.all(workers.map((worker) => worker.order({ users: POOL_SIZE, queries })));
}

/** One slice, by so many users. */
export async function sliceOf(worker: QueryWorker, users: number): Promise<Slice> {
	const slice = await worker.order({ users, leadMillis: LEAD_MILLIS, millis: SLICE_MILLIS });
	if (slice === undefined) throw new Error("bug: a worker has measured nothing");
	return slice;
}

/**
 * A slice of each in turn, so many times, each time in another order. What was asked of those before may have left connections
 * closed: one more slice of each, at first, does not count.
 *
 * @returns the slices of each, by its key
 */
export async function inTurn<T>(
	keys: readonly string[],
	rounds: number,
	measure: (key: string) => Promise<T>,
): Promise<Record<string, T[]>> {
	const measured: Record<string, T[]> = Object.fromEntries(keys.map((key) => [key, []]));
	for (const key of keys) await measure(key);
	for (let round = 0; round < rounds; round++) {
		for (const key of inOrderOf(round, keys)) measured[key]?.push(await measure(key));
	}
	return measured;
}
