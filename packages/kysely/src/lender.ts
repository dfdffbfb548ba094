/**
 * What both drivers have of their own, beside Kysely's: whoever gives up waiting for a connection leaves the pool's queue, and
 * a connection whose hook has failed is closed.
 */
import type { DatabaseConnection } from "kysely";

/** What Kysely 0.29 gives to a driver with each call, and 0.28 does not. */
export interface AbortableOptions {
	readonly signal?: AbortSignal | undefined;
}

/** Prepares a connection for Kysely, with the options of the query that waits for it. */
export type ConnectionHook = (connection: DatabaseConnection, options?: AbortableOptions) => Promise<void>;

export interface Hooks {
	/** Called once for each new connection of each process. When it fails, the connection is closed, and the next one tries again. */
	onCreateConnection?: ConnectionHook | undefined;
	/** Called each time a connection is taken from the pool. When it fails, the connection is closed. */
	onReserveConnection?: ConnectionHook | undefined;
}

/** A client on its way to whoever asks for it. */
interface Loan<C> {
	readonly signal: AbortSignal | undefined;
	client?: C;
}

/** Stands between a driver of Kysely and its pool: each knows something that the other one has to. */
export class Lender<C> {
	readonly #hooks: Hooks;
	readonly #giveBack: (client: C, error?: unknown) => void;
	readonly #onLent: ((connection: DatabaseConnection, client: C) => void) | undefined;
	/** Of every connection that has been prepared. */
	readonly #prepared = new WeakSet<DatabaseConnection>();
	/** Of the client that is asked for next. */
	#next: Loan<C> | undefined;

	/**
	 * @param giveBack releases a client to its pool; with an error, to be closed there
	 * @param onLent told which client is behind a connection, each time it is lent
	 */
	constructor(
		hooks: Hooks,
		giveBack: (client: C, error?: unknown) => void,
		onLent?: (connection: DatabaseConnection, client: C) => void,
	) {
		this.#hooks = hooks;
		this.#giveBack = giveBack;
		this.#onLent = onLent;
	}

	/**
	 * For the pool that the driver is given: which client it gets, and who may give up waiting for it.
	 *
	 * @param take asks the real pool
	 */
	lend(take: (signal: AbortSignal | undefined) => Promise<C>): Promise<C> {
		const loan = this.#next;
		this.#next = undefined;
		if (loan === undefined) return take(undefined);
		return take(loan.signal).then((client) => {
			loan.client = client;
			return client;
		});
	}

	/** @param acquire Kysely's own, which asks its pool for a client in the very turn in which it is called */
	acquire(acquire: () => Promise<DatabaseConnection>, options: AbortableOptions | undefined): Promise<DatabaseConnection> {
		const signal = options?.signal;
		const { onCreateConnection, onReserveConnection } = this.#hooks;
		this.#next = undefined;
		if (signal !== undefined) return this.#acquireUntil(signal, acquire);
		if (onCreateConnection === undefined && onReserveConnection === undefined) return this.#take(acquire, { signal });
		return this.#acquire(acquire, { signal });
	}

	/**
	 * The abort itself rejects, and not what becomes of it in the pool, a few turns later: Kysely races the signal against this
	 * promise, and prints the rejection of one that has lost.
	 */
	#acquireUntil(signal: AbortSignal, acquire: () => Promise<DatabaseConnection>): Promise<DatabaseConnection> {
		const loan: Loan<C> = { signal };
		return new Promise((resolve, reject) => {
			const onAbort = (): void => reject(signal.reason);
			signal.addEventListener("abort", onAbort, { once: true });
			const settle = async (): Promise<void> => {
				const connection = await this.#acquire(acquire, loan);
				if (!signal.aborted) resolve(connection);
				else if (loan.client !== undefined) this.#giveBack(loan.client);
			};
			void settle()
				.catch(reject)
				.finally(() => signal.removeEventListener("abort", onAbort));
		});
	}

	async #acquire(acquire: () => Promise<DatabaseConnection>, loan: Loan<C>): Promise<DatabaseConnection> {
		const connection = await this.#take(acquire, loan);
		try {
			await this.#prepare(connection, loan);
		} catch (error) {
			// Nobody knows what state it is in.
			if (loan.client !== undefined) this.#giveBack(loan.client, error ?? true);
			throw error;
		}
		return connection;
	}

	async #take(acquire: () => Promise<DatabaseConnection>, loan: Loan<C>): Promise<DatabaseConnection> {
		this.#next = loan;
		const connection = await acquire();
		if (loan.client !== undefined) this.#onLent?.(connection, loan.client);
		return connection;
	}

	async #prepare(connection: DatabaseConnection, { signal }: Loan<C>): Promise<void> {
		const options = signal && { signal };
		const { onCreateConnection, onReserveConnection } = this.#hooks;
		if (!this.#prepared.has(connection)) {
			await onCreateConnection?.(connection, options);
			this.#prepared.add(connection);
		}
		await onReserveConnection?.(connection, options);
	}
}
