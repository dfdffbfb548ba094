import type { Knex } from "knex";
import type { DriverName, KnexClientInternals, KnexConnection } from "./knex-internals.ts";

/** Constructs one of Knex's clients. */
export type KnexClientConstructor = new (config: Knex.Config) => KnexClientInternals;

/** What has to be known of a driver. */
export interface DialectSupport<C extends KnexConnection = KnexConnection> {
	readonly driver: DriverName;
	/** A class over Knex's own, whose connections are guarded. */
	guarded(Base: KnexClientConstructor): KnexClientConstructor;
	/** Whether a connection can be used, as far as is known without asking. */
	isAlive(connection: C): boolean;
	/** Asks the server whether an idle connection can be used. */
	ping(connection: C, signal: AbortSignal): Promise<boolean>;
	/** Whether a connect that has failed may succeed soon. */
	isTransient(error: unknown, hasConnected: boolean): boolean;
	/**
	 * Defaults of the pool's options. Without it, the driver has no presets.
	 *
	 * @throws OptionError (ERR_FORKSAFE_OPTION) for a preset that does not exist, and for what contradicts it
	 */
	preset?(name: unknown, client: KnexClientInternals): Knex.PoolConfig;
	ref(connection: C): void;
	unref(connection: C): void;
	/** Closes a connection that nobody waits for any more. */
	giveUp(connection: C): void;
	/** @returns a function that is told of each new connection, and calls back when one hears that its server has gone */
	watchServers(onServerLost: (connection: C) => void): (connection: C) => void;
	/** Whether a pool of the application's own has guarded connections of this driver. TarnPools of ours are known to. */
	isGuardedPool(pool: unknown): boolean;
}
