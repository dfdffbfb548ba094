import { InheritedConnectionError } from "@forksafe/core";
import { cancelQuery, type Pool, type PoolClient, type PoolConfig } from "@forksafe/pg";
import { type DatabaseConnection, type PostgresDialectConfig, PostgresDriver } from "kysely";
import type { OpenPool } from "./given-pool.ts";
import { type AbortableOptions, type Hooks, Lender } from "./lender.ts";

/** Kysely's own settings. */
export type PostgresSettings = Omit<PostgresDialectConfig, "pool" | keyof Hooks>;

/** Kysely's PostgresDriver, whose clients come through a {@link Lender}. */
export class ForkSafePostgresDriver extends PostgresDriver {
	readonly #lender: Lender<PoolClient>;

	constructor(openPool: OpenPool<Pool>, hooks: Hooks, settings: PostgresSettings) {
		let isPooled = false;
		const lender = new Lender<PoolClient>(
			hooks,
			(client, error) => client.release(error instanceof Error ? error : error !== undefined),
			(connection, client) => cancelByProtocol(connection, client, isPooled),
		);
		// Later versions than 0.28 give the options of the query that needs the pool first.
		super({
			...settings,
			pool: async (options?: AbortableOptions) => {
				const pool = await openPool(options);
				isPooled = (pool.options as PoolConfig).preset !== undefined;
				return lent(pool, lender);
			},
		});
		this.#lender = lender;
	}

	override acquireConnection(options?: AbortableOptions): Promise<DatabaseConnection> {
		return this.#lender.acquire(() => super.acquireConnection(), options);
	}

	/**
	 * After a rollback that has failed, Kysely's connection has but one word, for a migration that frees its lock too: discarded.
	 * Here it goes on saying why.
	 */
	override async rollbackTransaction(...[connection]: Parameters<PostgresDriver["rollbackTransaction"]>): Promise<void> {
		try {
			await super.rollbackTransaction(connection);
		} catch (error) {
			if (error instanceof InheritedConnectionError) {
				connection.executeQuery = async () => {
					throw new InheritedConnectionError(error.change);
				};
			}
			throw error;
		}
	}
}

const cancellable = new WeakSet<DatabaseConnection>();

/**
 * Kysely's own cancels with a session of its own, by a backend's pid, which is not known behind a pooler; nor can a session be
 * ended there that is the pooler's: the query is cancelled, and the connection to the pooler closed.
 */
function cancelByProtocol(connection: DatabaseConnection, client: PoolClient, isPooled: boolean): void {
	if (cancellable.has(connection)) return;
	cancellable.add(connection);
	const cancel = (): Promise<void> => cancelQuery(client);
	const kill = async (): Promise<void> => {
		await cancel();
		client.connection.stream.destroy();
	};
	Object.assign(connection, { cancelQuery: cancel, ...(isPooled && { killSession: kill }) });
}

/** What PostgresDriver takes for a pool. */
interface LentPool {
	readonly Client: Pool["Client"];
	readonly options: object;
	connect(): Promise<PoolClient>;
	end(): Promise<void>;
}

function lent(pool: Pool, lender: Lender<PoolClient>): LentPool {
	return {
		// Kysely 0.29 cancels on a connection of this class, which it opens with these options.
		Client: pool.Client,
		options: pool.options,
		connect: () => lender.lend((signal) => pool.connect(signal && { signal })),
		end: () => pool.end(),
	};
}
