import type { Driver, ProcessChange } from "@forksafe/core";
import { type Client, giveUp } from "./client.ts";
import { isAlive, ping } from "./liveness.ts";
import { ref, unref } from "./process-hold.ts";
import { ServerWatch } from "./server-watch.ts";
import { asLasting, isTransient } from "./transient.ts";

/** How a {@link PgDriver} opens its clients, and whom it tells that one has broken. */
export interface PgDriverSettings {
	/** Makes a client that is not connected yet. Called for every connection, so what it reads may change. */
	createClient(): Client | Promise<Client>;
	/** Prepares a connected client. When it fails, the client is closed, and the connect has failed. */
	setUp?(client: Client): Promise<void>;
	/** A connected client of ours has had an error or has lost its server. May be called more than once. */
	onBroken(client: Client, error: Error | undefined): void;
	/**
	 * A connected client was told that its server shuts down, has crashed or is no longer the primary: the other clients of
	 * that server are of no use any more either. May be called by each of them.
	 */
	onServerLost?(client: Client): void;
	/** Idle clients let the process exit. @default false */
	readonly isUnrefedWhenIdle?: boolean;
}

/** Opens, judges and ends clients of pg for a pool. */
export class PgDriver<C extends Client = Client> implements Driver<C> {
	/** There is nothing to do where idle clients keep the process alive. */
	readonly ref?: (client: C) => void;
	readonly unref?: (client: C) => void;
	readonly #settings: PgDriverSettings;
	readonly #serverWatch: ServerWatch<C>;

	constructor(settings: PgDriverSettings) {
		this.#settings = settings;
		this.#serverWatch = new ServerWatch((client) => settings.onServerLost?.(client));
		if (settings.isUnrefedWhenIdle === true) {
			this.ref = ref;
			this.unref = unref;
		}
	}

	async connect(signal: AbortSignal): Promise<C> {
		const client = await this.#create();
		let isConnected = false;
		// Stays for the life of the client: pg emits `error` whenever a session ends, and without a listener that would
		// end the process.
		client.on("error", (error) => isConnected && !client.isInherited() && this.#settings.onBroken(client, error));
		client.once("end", () => isConnected && !client.isInherited() && this.#settings.onBroken(client, undefined));
		const givenUp = Promise.withResolvers<undefined>();
		const onAbort = (): void => {
			givenUp.resolve(undefined);
			giveUp(client, signal.reason);
		};
		if (signal.aborted) throw signal.reason;
		signal.addEventListener("abort", onAbort, { once: true });
		try {
			await client.connect();
			// A set-up may hang for ever; what it hangs on has no socket any more.
			await Promise.race([this.#setUp(client), givenUp.promise]);
			if (signal.aborted) throw signal.reason;
			isConnected = true;
			this.#serverWatch.watch(client);
			return client;
		} catch (error) {
			// A refused password leaves the socket open for the server to close, a failed set-up a whole session.
			client.end().catch(() => {});
			throw signal.aborted ? signal.reason : error;
		} finally {
			signal.removeEventListener("abort", onAbort);
		}
	}

	isTransient(error: unknown, hasConnected: boolean): boolean {
		return isTransient(error, hasConnected);
	}

	isAlive(client: C): boolean {
		return isAlive(client);
	}

	async validate(client: C, signal: AbortSignal): Promise<boolean> {
		return this.isAlive(client) && (await ping(client, signal)) && this.isAlive(client);
	}

	async destroy(client: C): Promise<void> {
		await client.end();
	}

	discard(client: C, change: ProcessChange): void {
		client.discard(change);
	}

	async #create(): Promise<C> {
		try {
			return (await this.#settings.createClient()) as C;
		} catch (error) {
			throw asLasting(error);
		}
	}

	async #setUp(client: C): Promise<void> {
		try {
			await this.#settings.setUp?.(client);
		} catch (error) {
			// When its session was lost, that is what has failed.
			throw this.isAlive(client) ? asLasting(error) : error;
		}
	}
}
