import pg from "pg";

/** How sessions are told from others. */
interface Whose {
	readonly column: "usename" | "application_name";
	readonly name: string;
}

/** Looks without a pause how many sessions somebody has. */
export class SessionWatch {
	now = 0;
	most = 0;
	readonly #client: pg.Client;
	readonly #watching: Promise<void>;
	#isOver = false;

	private constructor(client: pg.Client, whose: Whose) {
		this.#client = client;
		this.#watching = this.#watch(whose);
	}

	static async start(url: string, whose: Whose): Promise<SessionWatch> {
		const client = new pg.Client(url);
		await client.connect();
		return new SessionWatch(client, whose);
	}

	/** The most since it was asked last. */
	take(): number {
		const { most } = this;
		this.most = 0;
		return most;
	}

	async #watch({ column, name }: Whose): Promise<void> {
		while (!this.#isOver) {
			const { rows } = await this.#client.query<{ count: number }>(
				`select count(*)::int from pg_stat_activity where ${column} = $1`,
				[name],
			);
			this.now = rows[0]?.count ?? 0;
			this.most = Math.max(this.most, this.now);
		}
	}

	async stop(): Promise<void> {
		this.#isOver = true;
		await this.#watching;
		await this.#client.end();
	}
}
