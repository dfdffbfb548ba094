import pg from "pg";

/** What the accounts and the transfers say, on the server, when all is over. */
export interface Books {
	/** The sum of all balances now, and at the start. */
	readonly total: number;
	readonly totalAtStart: number;
	/** Accounts whose balance is not what the recorded transfers make of it. */
	readonly accountsOff: number;
	/** How often each transfer was executed, by its id. */
	readonly executions: ReadonlyMap<string, number>;
}

/** Accounts are numbered from 1. */
export const accountCount = 50;
const openingBalance = 1_000;
/** For the pools' sessions to end by themselves, once their processes have gone. */
const goingMillis = 3_000;
const askMillis = 10_000;

/**
 * The tables of one run, in a schema of their own, and the sessions that the run's pools have opened. Each question
 * goes over a new connection, which no fork ever sees.
 */
export class Bank {
	readonly schema: string;
	/** For the application's pools: the server knows their sessions by a name of their own. */
	readonly url: string;
	readonly #ownUrl: string;

	/** @param schema letters, digits and underscores; also the `application_name` of the pools' sessions */
	constructor(url: string, schema: string) {
		this.schema = schema;
		this.#ownUrl = url;
		this.url = `${url}${url.includes("?") ? "&" : "?"}application_name=${schema}`;
	}

	async open(): Promise<void> {
		await this.#ask(`create schema ${this.schema}`);
		await this.#ask(`create table ${this.schema}.accounts (id int primary key, balance int not null)`);
		await this.#ask(
			`create table ${this.schema}.transfers (id text not null, from_account int not null, to_account int not null,
				amount int not null, backend int not null default pg_backend_pid())`,
		);
		await this.#ask(`insert into ${this.schema}.accounts select generate_series(1, $1::int), $2::int`, [
			accountCount,
			openingBalance,
		]);
	}

	/** The backends that serve the pools' sessions. */
	async backends(): Promise<Set<number>> {
		const rows = await this.#ask<{ pid: number }>("select pid from pg_stat_activity where application_name = $1", [this.schema]);
		return new Set(rows.map(({ pid }) => pid));
	}

	/** Waits until the pools' sessions are gone: those of a dead process may have something to finish, or to roll back. */
	async settle(): Promise<void> {
		const deadline = performance.now() + goingMillis;
		while ((await this.backends()).size > 0) {
			if (performance.now() > deadline) await this.#terminate();
			await new Promise((resolve) => void setTimeout(resolve, 20));
			if (performance.now() > deadline + goingMillis) throw new Error(`sessions of ${this.schema} do not end`);
		}
	}

	async books(): Promise<Books> {
		const [sums] = await this.#ask<{ total: number; off: number }>(
			`select sum(balance)::int as total, count(*) filter (where balance <> $1::int
				+ (select coalesce(sum(amount), 0) from ${this.schema}.transfers where to_account = accounts.id)
				- (select coalesce(sum(amount), 0) from ${this.schema}.transfers where from_account = accounts.id))::int as off
			from ${this.schema}.accounts`,
			[openingBalance],
		);
		const counts = await this.#ask<{ id: string; times: number }>(
			`select id, count(*)::int as times from ${this.schema}.transfers group by id`,
		);
		return {
			total: sums?.total ?? 0,
			totalAtStart: accountCount * openingBalance,
			accountsOff: sums?.off ?? accountCount,
			executions: new Map(counts.map(({ id, times }) => [id, times])),
		};
	}

	/** Removes the tables, also from under a run that is still going on. */
	async remove(): Promise<void> {
		await this.#terminate();
		await this.#ask(`drop schema if exists ${this.schema} cascade`);
	}

	async #terminate(): Promise<void> {
		await this.#ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", [this.schema]);
	}

	async #ask<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
		const client = new pg.Client({
			connectionString: this.#ownUrl,
			connectionTimeoutMillis: askMillis,
			query_timeout: askMillis,
		});
		client.on("error", () => {});
		await client.connect();
		try {
			return (await client.query<Row>(text, values)).rows;
		} finally {
			await client.end();
		}
	}
}
