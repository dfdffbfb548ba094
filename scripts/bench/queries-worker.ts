/**
 * One kind of query at one concurrency, by a plain Knex and by one of ours in turn, in one process:
 * `node queries-worker.ts URL KIND STYLE CONCURRENCY PAIRS SLICE_MILLIS`. Writes one line of JSON.
 */
import { once } from "node:events";
import process from "node:process";
import { ForkSafePostgres } from "@forksafe/knex";
import knex, { type Knex } from "knex";

export const kinds = ["select by primary key", "insert", "transaction of three statements"] as const;
export type Kind = (typeof kinds)[number];
export const styles = ["raw", "builder"] as const;
export type Style = (typeof styles)[number];

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

const ROWS = 1_000;
const POOL = { min: 0, max: 10 };
const WARM_UP_SLICES = 3;

type Ask = (db: Knex, id: number) => PromiseLike<unknown>;

const asks: Record<Kind, Record<Style, Ask>> = {
	"select by primary key": {
		raw: (db, id) => db.raw("select id, name, balance from bench where id = ?", [id]),
		builder: (db, id) => db("bench").select("id", "name", "balance").where({ id }),
	},
	insert: {
		raw: (db, id) => db.raw("insert into bench_log (bench_id, amount) values (?, ?)", [id, 1]),
		builder: (db, id) => db("bench_log").insert({ bench_id: id, amount: 1 }),
	},
	"transaction of three statements": {
		raw: (db, id) =>
			db.transaction(async (trx) => {
				await trx.raw("select balance from bench where id = ? for update", [id]);
				await trx.raw("update bench set balance = balance + 1 where id = ?", [id]);
				await trx.raw("insert into bench_log (bench_id, amount) values (?, ?)", [id, 1]);
			}),
		builder: (db, id) =>
			db.transaction(async (trx) => {
				await trx("bench").select("balance").where({ id }).forUpdate();
				await trx("bench").where({ id }).increment("balance", 1);
				await trx("bench_log").insert({ bench_id: id, amount: 1 });
			}),
	},
};

export async function createTables(url: string): Promise<void> {
	const db = knex({ client: "pg", connection: url, pool: POOL });
	await db.raw("drop table if exists bench, bench_log");
	await db.raw("create table bench (id int primary key, name text not null, balance int not null)");
	await db.raw("create unlogged table bench_log (bench_id int not null, amount int not null)");
	await db.raw("insert into bench select n, 'name ' || n, 0 from generate_series(1, ?) n", [ROWS]);
	await db.destroy();
}

if (import.meta.main) {
	const [url = "", kind = "", style = "", ...numbers] = process.argv.slice(2);
	const [concurrency = 1, pairs = 1, sliceMillis = 250] = numbers.map(Number);
	const ask = asks[kind as Kind][style as Style];
	// What users install is measured, not the sources.
	const resolved = import.meta.resolve("@forksafe/knex");
	if (!resolved.endsWith("/dist/index.js")) throw new Error(`@forksafe/knex is not the built package, but ${resolved}`);
	const plain = knex({ client: "pg", connection: url, pool: POOL });
	const ours = knex({ client: ForkSafePostgres, connection: url, pool: POOL });
	const slice = (db: Knex): Promise<Slice> => measure(db, ask, concurrency, sliceMillis);
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
	await Promise.all([plain.destroy(), ours.destroy()]);
	if (!process.stdout.write(`${JSON.stringify(measured)}\n`)) await once(process.stdout, "drain");
}

async function measure(db: Knex, ask: Ask, concurrency: number, millis: number): Promise<Slice> {
	const start = performance.now();
	const cpuBefore = process.cpuUsage();
	let done = 0;
	const user = async (number: number): Promise<void> => {
		for (let id = number; performance.now() - start < millis; id += concurrency) {
			await ask(db, (id % ROWS) + 1);
			done++;
		}
	};
	await Promise.all(Array.from({ length: concurrency }, (_, number) => user(number)));
	const cpu = process.cpuUsage(cpuBefore);
	return { cpu: (cpu.user + cpu.system) / done, throughput: (done * 1_000) / (performance.now() - start) };
}
