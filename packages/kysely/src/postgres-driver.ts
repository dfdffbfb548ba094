import { InheritedConnectionError } from "@forksafe/core";
import type { Pool, PoolClient } from "@forksafe/pg";
import { type DatabaseConnection, type PostgresDialectConfig, PostgresDriver } from "kysely";
import type { OpenPool } from "./given-pool.ts";
import { type AbortableOptions, type Hooks, Lender } from "./lender.ts";

/** Kysely's own settings. */
export type PostgresSettings = Omit<PostgresDialectConfig, "pool" | keyof Hooks>;

/** Kysely's PostgresDriver, whose clients come through a {@link Lender}. */
export class ForkSafePostgresDriver extends PostgresDriver {
	readonly #lender: Lender<PoolClient>;

	constructor(openPool: OpenPool<Pool>, hooks: Hooks, settings: PostgresSettings) {
		const lender = new Lender<PoolClient>(hooks, (client, error) =>
			client.release(error instanceof Error ? error : error !== undefined),
		);
		// Later versions than 0.28 give the options of the query that needs the pool first.
		super({ ...settings, pool: async (options?: AbortableOptions) => lent(await openPool(options), lender) });
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
