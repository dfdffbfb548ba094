import type { Driver, ProcessChange } from "@forksafe/core";
import { isTransient } from "./failures.ts";
import type { Guarded } from "./guard.ts";
import { end, giveUp, isAlive, ping, ref, unref } from "./liveness.ts";
import type { MysqlPoolConnection } from "./mysql-pool-internals.ts";

/** A guarded connection of mysql2 that knows its pool. */
export type PooledConnection = MysqlPoolConnection & Guarded;

/** How a {@link MysqlDriver} opens its connections. */
export interface MysqlDriverSettings {
	/** Begins to open a guarded connection. */
	createConnection(): PooledConnection;
	/** Idle connections let the process exit. */
	readonly isUnrefedWhenIdle: boolean;
}

/** Opens, judges and ends connections of mysql2 for a pool. */
export class MysqlDriver implements Driver<PooledConnection> {
	/** There is nothing to do where idle connections keep the process alive. */
	readonly ref?: (connection: PooledConnection) => void;
	readonly unref?: (connection: PooledConnection) => void;
	readonly #settings: MysqlDriverSettings;

	constructor(settings: MysqlDriverSettings) {
		this.#settings = settings;
		if (settings.isUnrefedWhenIdle) {
			this.ref = ref;
			this.unref = unref;
		}
	}

	async connect(signal: AbortSignal): Promise<PooledConnection> {
		signal.throwIfAborted();
		const connection = this.#settings.createConnection();
		// Stays: mysql2 emits `error` when a session is lost, and without a listener that would end the process.
		connection.on("error", () => {});
		const onAbort = (): void => giveUp(connection);
		signal.addEventListener("abort", onAbort, { once: true });
		try {
			await new Promise<void>((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
			return connection;
		} catch (error) {
			giveUp(connection);
			throw signal.aborted ? signal.reason : error;
		} finally {
			signal.removeEventListener("abort", onAbort);
		}
	}

	isTransient(error: unknown, hasConnected: boolean): boolean {
		return isTransient(error, hasConnected);
	}

	isAlive(connection: PooledConnection): boolean {
		return isAlive(connection);
	}

	validate(connection: PooledConnection, signal: AbortSignal): Promise<boolean> {
		return ping(connection, signal);
	}

	destroy(connection: PooledConnection): Promise<void> {
		return end(connection);
	}

	discard(connection: PooledConnection, change: ProcessChange): void {
		connection.discard(change);
	}
}
