/**
 * One kind of query at one concurrency, by a library over its own pool and over one of ours in turn, in one process:
 * `node queries-worker.ts URL LIBRARY KIND STYLE CONCURRENCY PAIRS SLICE_MILLIS`. Writes one line of JSON.
 */
import { once } from "node:events";
import process from "node:process";
import { type Kind, type Library, openSubject, ROWS, type Style, type Subject } from "./query-subjects.ts";

/** One slice of time. */
export interface Slice {
	/** Microseconds of all threads, per query (or transaction). */
	readonly cpu: number;
	/** Queries (or transactions) per second. */
	readonly throughput: number;
}

/** Slices that follow one upon the other. */
export interface Pair {
	readonly plain: Slice;
	readonly ours: Slice;
}

const WARM_UP_SLICES = 3;

if (import.meta.main) {
	const [url = "", library = "", kind = "", style = "", ...numbers] = process.argv.slice(2);
	const [concurrency = 1, pairs = 1, sliceMillis = 250] = numbers.map(Number);
	// What users install is measured, not the sources.
	for (const name of ["@forksafe/knex", "@forksafe/kysely"]) {
		const resolved = import.meta.resolve(name);
		if (!resolved.endsWith("/dist/index.js")) throw new Error(`${name} is not the built package, but ${resolved}`);
	}
	const open = (isOurs: boolean): Subject => openSubject(library as Library, isOurs, url, kind as Kind, style as Style);
	const [plain, ours] = [open(false), open(true)];
	const slice = (subject: Subject): Promise<Slice> => measure(subject, concurrency, sliceMillis);
	for (let i = 0; i < WARM_UP_SLICES; i++) {
		await slice(plain);
		await slice(ours);
	}
	const measured: Pair[] = [];
	for (let i = 0; i < pairs; i++) {
		// Who goes first has the garbage of the other one.
		const first = await slice(i % 2 === 0 ? plain : ours);
		const second = await slice(i % 2 === 0 ? ours : plain);
		measured.push(i % 2 === 0 ? { plain: first, ours: second } : { plain: second, ours: first });
	}
	await Promise.all([plain.end(), ours.end()]);
	if (!process.stdout.write(`${JSON.stringify(measured)}\n`)) await once(process.stdout, "drain");
}

async function measure(subject: Subject, concurrency: number, millis: number): Promise<Slice> {
	const start = performance.now();
	const cpuBefore = process.cpuUsage();
	let done = 0;
	const user = async (number: number): Promise<void> => {
		for (let id = number; performance.now() - start < millis; id += concurrency) {
			await subject.ask((id % ROWS) + 1);
			done++;
		}
	};
	await Promise.all(Array.from({ length: concurrency }, (_, number) => user(number)));
	const cpu = process.cpuUsage(cpuBefore);
	return { cpu: (cpu.user + cpu.system) / done, throughput: (done * 1_000) / (performance.now() - start) };
}
