/**
 * Kysely's PostgresDriver, with two things of its own: whoever gives up waiting for a connection leaves the pool's queue,
 * and a connection whose hook has failed is closed. Everything else is Kysely's: it takes its clients from {@link Lender}.
 */
import type { Pool, PoolClient } from "@forksafe/pg";
import { type DatabaseConnection, type PostgresDialectConfig, PostgresDriver } from "kysely";

/** What Kysely 0.29 gives to a driver with each call, and 0.28 does not. */
export interface AbortableOptions {
	readonly signal?: AbortSignal | undefined;
}

/** Prepares a connection for Kysely, with the options of the query that waits for it. */
export type ConnectionHook = (connection: DatabaseConnection, options?: AbortableOptions) => Promise<void>;

/** What a {@link ForkSafePostgresDriver} is made of. */
export interface DriverSettings {
	/** Asked when the first query needs it, and again when it has failed. */
	openPool(options: AbortableOptions | undefined): Pool | Promise<Pool>;
	readonly onCreateConnection: ConnectionHook | undefined;
	readonly onReserveConnection: ConnectionHook | undefined;
	/** Kysely's own settings. */
	readonly kysely: Omit<PostgresDialectConfig, "pool" | "onCreateConnection" | "onReserveConnection">;
}

export class ForkSafePostgresDriver extends PostgresDriver {
	readonly #settings: DriverSettings;
	readonly #lender: Lender;
	/** Of every connection that has been prepared, as long as its client lives. */
	readonly #prepared = new WeakSet<DatabaseConnection>();

	constructor(settings: DriverSettings) {
		const lender = new Lender();
		// Later versions than 0.28 give the options of the query that needs the pool first.
		const pool = async (options?: AbortableOptions): Promise<Lending> => lender.over(await settings.openPool(options));
		super({ ...settings.kysely, pool });
		this.#settings = settings;
		this.#lender = lender;
	}

	override acquireConnection(options?: AbortableOptions): Promise<DatabaseConnection> {
		const loan: Loan = { signal: options?.signal };
		return loan.signal === undefined ? this.#acquire(loan) : this.#acquireUntil(loan.signal, loan);
	}

	/**
	 * The abort itself rejects, and not what becomes of it in the pool, a few turns later: Kysely races the signal against this
	 * promise, and prints the rejection of one that has lost.
	 */
	#acquireUntil(signal: AbortSignal, loan: Loan): Promise<DatabaseConnection> {
		if (signal.aborted) return Promise.reject(signal.reason);
		return new Promise((resolve, reject) => {
			const onAbort = (): void => reject(signal.reason);
			signal.addEventListener("abort", onAbort, { once: true });
			const settle = async (): Promise<void> => {
				const connection = await this.#acquire(loan);
				if (signal.aborted) loan.client?.release();
				else resolve(connection);
			};
			void settle()
				.catch(reject)
				.finally(() => signal.removeEventListener("abort", onAbort));
		});
	}

	async #acquire(loan: Loan): Promise<DatabaseConnection> {
		this.#lender.next = loan;
		const connection = await super.acquireConnection();
		try {
			await this.#prepare(connection, loan);
		} catch (error) {
			// Nobody knows what state it is in.
			loan.client?.release(error instanceof Error ? error : true);
			throw error;
		}
		return connection;
	}

	async #prepare(connection: DatabaseConnection, { signal }: Loan): Promise<void> {
		const options = signal && { signal };
		const { onCreateConnection, onReserveConnection } = this.#settings;
		if (onCreateConnection !== undefined && !this.#prepared.has(connection)) {
			await onCreateConnection(connection, options);
			this.#prepared.add(connection);
		}
		await onReserveConnection?.(connection, options);
	}
}

/** A client on its way to whoever asks for it. */
interface Loan {
	readonly signal: AbortSignal | undefined;
	client?: PoolClient;
}

/** What PostgresDriver takes for a pool. */
interface Lending {
	readonly Client: Pool["Client"];
	readonly options: object;
	connect(): Promise<PoolClient>;
	end(): Promise<void>;
}

/** Tells the pool what PostgresDriver does not: who may give up waiting. And whoever asks, what PostgresDriver keeps: the client. */
class Lender {
	/** Of the `connect()` that comes now: PostgresDriver calls it in the very turn in which it is asked for a connection. */
	next: Loan | undefined;

	over(pool: Pool): Lending {
		return {
			// Kysely 0.29 cancels on a connection of this class, which it opens with these options.
			Client: pool.Client,
			options: pool.options,
			connect: async () => {
				const loan = this.next;
				this.next = undefined;
				const client = await pool.connect({ signal: loan?.signal });
				if (loan !== undefined) loan.client = client;
				return client;
			},
			end: () => pool.end(),
		};
	}
}
