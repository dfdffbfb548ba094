import { type Driver, InheritedConnectionError, type ProcessChange } from "@forksafe/core";
import type { Client } from "./client.ts";

/** How a {@link PgDriver} opens its clients, and whom it tells that one has broken. */
export interface PgDriverSettings {
	/** Makes a client that is not connected yet. Called for every connection, so what it reads may change. */
	createClient(): Client | Promise<Client>;
	/** Prepares a connected client. When it fails, the client is closed, and the connect has failed. */
	setUp?(client: Client): Promise<void>;
	/** A connected client of ours has had an error or has lost its server. May be called more than once. */
	onBroken(client: Client, error: Error | undefined): void;
}

/** Opens, judges and ends clients of pg for a pool. */
export class PgDriver<C extends Client = Client> implements Driver<C> {
	readonly #settings: PgDriverSettings;

	constructor(settings: PgDriverSettings) {
		this.#settings = settings;
	}

	async connect(signal: AbortSignal): Promise<C> {
		const client = (await this.#settings.createClient()) as C;
		let isConnected = false;
		// Stays for the life of the client: pg emits `error` whenever a session ends, and without a listener that would
		// end the process.
		client.on("error", (error) => isConnected && !client.isInherited() && this.#settings.onBroken(client, error));
		client.once("end", () => isConnected && !client.isInherited() && this.#settings.onBroken(client, undefined));
		const givenUp = Promise.withResolvers<undefined>();
		const giveUp = (): void => {
			givenUp.resolve(undefined);
			if (signal.reason instanceof InheritedConnectionError) client.discard(signal.reason.change);
			else client.connection.stream.destroy(signal.reason as Error);
		};
		if (signal.aborted) throw signal.reason;
		signal.addEventListener("abort", giveUp, { once: true });
		try {
			await client.connect();
			// A set-up may hang for ever; what it hangs on has no socket any more.
			await Promise.race([this.#settings.setUp?.(client), givenUp.promise]);
			if (signal.aborted) throw signal.reason;
			isConnected = true;
			return client;
		} catch (error) {
			// A refused password leaves the socket open for the server to close, a failed set-up a whole session.
			client.end().catch(() => {});
			throw signal.aborted ? signal.reason : error;
		} finally {
			signal.removeEventListener("abort", giveUp);
		}
	}

	isAlive(client: C): boolean {
		const { _queryable, _ending, _ended } = client as unknown as Record<"_queryable" | "_ending" | "_ended", boolean>;
		return !client.isBroken && _queryable && !_ending && !_ended && client.connection.stream.writable;
	}

	async destroy(client: C): Promise<void> {
		await client.end();
	}

	discard(client: C, change: ProcessChange): void {
		client.discard(change);
	}
}
