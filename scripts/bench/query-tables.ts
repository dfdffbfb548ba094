import pg from "pg";

export const kinds = ["select 1", "select by primary key", "insert", "transaction of three statements"] as const;
export type Kind = (typeof kinds)[number];

/** How many statements one of it is, with `begin` and `commit`. */
export const STATEMENTS: Record<Kind, number> = {
	"select 1": 1,
	"select by primary key": 1,
	insert: 1,
	"transaction of three statements": 5,
};

/** As PostgreSQL wants it, with the id, or a balance to add, as parameters. */
export const SQL = {
	one: "select 1 as one",
	byKey: "select id, name, balance from bench where id = $1",
	insert: "insert into bench_log (bench_id, amount) values ($1, $2)",
	lock: "select balance from bench where id = $1 for update",
	update: "update bench set balance = balance + 1 where id = $1",
} as const;

/** What the query builders are told of the tables. */
export interface Tables {
	bench: { id: number; name: string; balance: number };
	bench_log: { bench_id: number; amount: number };
}

export const ROWS = 1_000;

/** The tables that all of them use. */
export async function createTables(url: string): Promise<void> {
	const client = new pg.Client(url);
	await client.connect();
	await client.query("drop table if exists bench, bench_log");
	await client.query("create table bench (id int primary key, name text not null, balance int not null)");
	await client.query("create unlogged table bench_log (bench_id int not null, amount int not null)");
	await client.query("insert into bench select n, 'name ' || n, 0 from generate_series(1, $1::int) n", [ROWS]);
	await client.end();
}
