/** One kind of query through one face, as it is ordered to: `node queries-worker.ts URL MAX KIND FACE`. */
import process from "node:process";
import { openFace } from "./faces.ts";
import { type Kind, ROWS } from "./query-tables.ts";
import { obeyOrders } from "./worker-process.ts";

/** So many users ask, each one query after another ... */
export type QueryOrder = { readonly users: number } & (
	| /** ... until so many queries have been asked: the warm-up ... */ { readonly queries: number }
	| /** ... or for so long, after a time that does not count. */ { readonly leadMillis: number; readonly millis: number }
);

/** One slice of time. */
export interface Slice {
	/** Microseconds of all threads, per query (or transaction). */
	readonly cpu: number;
	/** Queries (or transactions) per second. */
	readonly throughput: number;
}

if (import.meta.main) {
	const [url = "", max, kind = "", name = ""] = process.argv.slice(2);
	const face = await openFace(name, url, Number(max));
	const ask = face.ask[kind as Kind];
	let next = 0;
	const askWhile = async (users: number, goesOn: () => boolean): Promise<void> => {
		const user = async (): Promise<void> => {
			while (goesOn()) await ask((next++ % ROWS) + 1);
		};
		await Promise.all(Array.from({ length: users }, user));
	};
	const measure = async (users: number, millis: number): Promise<Slice> => {
		const start = performance.now();
		const cpuBefore = process.cpuUsage();
		const before = next;
		await askWhile(users, () => performance.now() - start < millis);
		const done = next - before;
		const { user, system } = process.cpuUsage(cpuBefore);
		return { cpu: (user + system) / done, throughput: (done * 1_000) / (performance.now() - start) };
	};
	obeyOrders<QueryOrder, Slice | undefined>(async (order) => {
		if ("queries" in order) {
			const end = next + order.queries;
			await askWhile(order.users, () => next < end);
			return undefined;
		}
		await measure(order.users, order.leadMillis);
		return measure(order.users, order.millis);
	});
}
