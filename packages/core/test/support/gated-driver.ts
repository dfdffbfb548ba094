import type { Driver } from "../../src/driver.ts";
import type { ProcessChange } from "../../src/process-change.ts";

/** The steps of a driver that take time. */
export type Step = "connect" | "validate" | "destroy";

/** A connection to nothing. */
export class Connection {
	readonly id: number;
	/** What `isAlive` answers. */
	isAlive = true;

	constructor(id: number) {
		this.id = id;
	}
}

/** Why a connect fails that may succeed another time. */
export class Transient extends Error {}

/** One step that waits until the test lets it end. */
export class Gate<T> {
	readonly promise: Promise<T>;
	isOpen = false;
	readonly #resolve: (value: T) => void;
	readonly #reject: (error: unknown) => void;

	constructor() {
		const { promise, resolve, reject } = Promise.withResolvers<T>();
		this.promise = promise;
		this.#resolve = resolve;
		this.#reject = reject;
	}

	succeed(value: T): void {
		this.isOpen = true;
		this.#resolve(value);
	}

	fail(error: unknown): void {
		this.isOpen = true;
		this.#reject(error);
	}
}

/** A connect in progress. */
export class ConnectGate extends Gate<Connection> {
	readonly signal: AbortSignal;
	readonly #id: number;

	constructor(signal: AbortSignal, id: number) {
		super();
		this.signal = signal;
		this.#id = id;
	}

	/** The server has answered. */
	open(): Connection {
		const connection = new Connection(this.#id);
		this.succeed(connection);
		return connection;
	}
}

/** A validation or a polite end in progress. */
export class ConnectionGate<T> extends Gate<T> {
	readonly connection: Connection;
	/** Aborted when nobody waits for the answer any more. */
	readonly signal: AbortSignal | undefined;

	constructor(connection: Connection, signal?: AbortSignal) {
		super();
		this.connection = connection;
		this.signal = signal;
	}
}

export interface GatedDriverOptions {
	/** The steps that stop at a gate; the others succeed at once. */
	stopsAt?: readonly Step[];
	/** Whether the driver has a `validate` at all. @default whether it stops there */
	validates?: boolean;
}

/** A driver that does nothing but note what it is asked for, and waits wherever the test wants it to. */
export class GatedDriver implements Driver<Connection> {
	/** Every connect that was ever asked for, in order; so too the validations and the polite ends. */
	readonly connects: ConnectGate[] = [];
	readonly validations: ConnectionGate<boolean>[] = [];
	readonly destroys: ConnectionGate<void>[] = [];
	readonly discards: { readonly connection: Connection; readonly change: ProcessChange }[] = [];
	readonly stopsAt: Set<Step>;
	readonly validate?: (connection: Connection, signal?: AbortSignal) => Promise<boolean>;
	/** Called by `discard`, for tests of what a driver does in there. */
	onDiscard: (connection: Connection) => void = () => {};

	constructor({ stopsAt = [], validates = stopsAt.includes("validate") }: GatedDriverOptions = {}) {
		this.stopsAt = new Set(stopsAt);
		if (validates) this.validate = (connection, signal) => this.#validate(connection, signal);
	}

	connect(signal: AbortSignal): Promise<Connection> {
		const gate = new ConnectGate(signal, this.connects.length);
		this.connects.push(gate);
		if (!this.stopsAt.has("connect")) gate.open();
		return gate.promise;
	}

	isAlive(connection: Connection): boolean {
		return connection.isAlive;
	}

	isTransient(error: unknown): boolean {
		return error instanceof Transient;
	}

	destroy(connection: Connection): Promise<void> {
		const gate = new ConnectionGate<void>(connection);
		this.destroys.push(gate);
		if (!this.stopsAt.has("destroy")) gate.succeed();
		return gate.promise;
	}

	discard(connection: Connection, change: ProcessChange): void {
		this.discards.push({ connection, change });
		this.onDiscard(connection);
	}

	/** The connections that were ended politely, in order. */
	get destroyed(): Connection[] {
		return this.destroys.map(({ connection }) => connection);
	}

	/** The connections that were forgotten, in order. */
	get discarded(): Connection[] {
		return this.discards.map(({ connection }) => connection);
	}

	#validate(connection: Connection, signal: AbortSignal | undefined): Promise<boolean> {
		const gate = new ConnectionGate<boolean>(connection, signal);
		this.validations.push(gate);
		if (!this.stopsAt.has("validate")) gate.succeed(true);
		return gate.promise;
	}
}
