/**
 * A pg client that knows which process opened it.
 *
 * Every byte that it writes passes one of two places: `_pulseQueryQueue`, through which pg sends queries, and the
 * stream's own `_write`, `_writev` and `_final`, through which everything else goes (a cursor that reads on, COPY data,
 * Terminate). Both ask whose process this is.
 */
import process from "node:process";
import {
	discardStream,
	InheritedConnectionError,
	isBuildingSnapshot,
	OptionError,
	Ownership,
	type ProcessChange,
	type ProcessWatch,
} from "@forksafe/core";
import pg from "pg";
import { type ApplicationName, clientSettings, sessionName } from "./client-options.ts";
import { assertPgInternals, internals, type PgClientInternals } from "./pg-internals.ts";
import { type PrepareOptions, prepareOptions } from "./prepare-options.ts";
import { PreparedStatements } from "./prepared-statements.ts";
import { refuseQueries, releaseCursors } from "./refused-queries.ts";
import { endsSession, type ServerMessage } from "./server-messages.ts";
import { holdWhileAnswering } from "./snapshot-hold.ts";
import { guardConnection } from "./stream-guard.ts";

/** What pg's client takes, with TCP keep-alive on unless it is switched off, and how it notices that its process has changed. */
export interface ClientConfig extends Omit<pg.ClientConfig, "application_name"> {
	/** What the server calls the connection. A function is asked when the client connects, and given the true pid of this process. */
	application_name?: ApplicationName | undefined;
	/** As in the pool's options. @default "always" */
	processWatch?: ProcessWatch | undefined;
	/** As in the pool's options. @default false */
	prepare?: boolean | PrepareOptions | undefined;
}

/** How pg's Connection is to reach the server. */
interface WireOptions {
	readonly stream?: NonNullable<pg.ClientConfig["stream"]>;
	readonly ssl: pg.Client["ssl"];
	readonly sslNegotiation?: string | undefined;
}

type ConnectCallback = ((error: Error) => void) | ((error: null, client: pg.Client) => void);

assertPgInternals();

/** What a server of PostgreSQL 14 or later reports about itself, at the start and whenever it changes. */
const READ_ONLY_SETTINGS = ["in_hot_standby", "default_transaction_read_only"];

const { _handleErrorMessage: handleErrorMessage, _pulseQueryQueue: pulseQueryQueue } = pg.Client
	.prototype as unknown as PgClientInternals;

/**
 * A drop-in for pg's Client. In a process other than the one that connected it, it refuses to write: queries, cursors
 * and COPY fail with InheritedConnectionError (ERR_FORKSAFE_INHERITED), `end()` does nothing, and its cancel key is gone.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION) from the constructor, for a `processWatch` that does not exist and a `prepare` that cannot be
 */
export class Client extends pg.Client {
	/** The server's name for this session, and half of the key to cancel its query. Undefined in every other process. */
	declare processID?: number;
	/** The other half of the cancel key. Undefined in every other process. */
	declare secretKey?: number;
	/** Keeps the process alive as long as the connection is open, as it is by default. */
	declare ref: () => void;
	/** Lets the process exit while the connection is open. */
	declare unref: () => void;
	/** @internal For a further connection to the same server. */
	readonly wireOptions: WireOptions;
	/** Of the process that has connected. */
	private readonly ownership: Ownership;
	private hasFailed = false;
	/** Which of the read-only settings are on; undefined as long as none was reported. */
	private readOnlyBecause: Set<string> | undefined;
	private readonly statements: PreparedStatements | undefined;
	/** The process was looked at in this very turn: what is written now needs no second look. */
	private hasLooked = false;

	constructor(config?: string | ClientConfig) {
		const settings = clientSettings(config);
		super(settings as pg.ClientConfig); // pg keeps what it does not know
		const { processWatch = "always", stream } = settings;
		this.ownership = new Ownership(processWatch, (change) => this.forget(change));
		const { connection, connectionParameters } = internals(this);
		const prepare = prepareOptions(settings);
		this.statements = prepare && new PreparedStatements(internals(this), prepare);
		this.wireOptions = {
			ssl: this.ssl,
			sslNegotiation: connectionParameters.sslnegotiation,
			// A stream that was given as such is in use.
			...(typeof stream === "function" && { stream }),
		};
		const hear = (message: ServerMessage): void => {
			if (endsSession(message)) this.hasFailed = true;
		};
		connection.on("errorMessage", hear);
		connection.on("notice", hear);
		connection.on("parameterStatus", ({ parameterName, parameterValue }) => {
			if (READ_ONLY_SETTINGS.includes(parameterName)) this.noteReadOnly(parameterName, parameterValue === "on");
		});
		const refusal = (): Error | undefined => (this.hasLooked ? undefined : this.ownership.refusal());
		if (isBuildingSnapshot()) {
			const hold = holdWhileAnswering(this);
			guardConnection(connection, () => {
				hold();
				return refusal();
			});
		} else {
			guardConnection(connection, refusal);
		}
	}

	/** Whether the server has said that it ends this session. Its socket may look alive for a moment longer. */
	get isBroken(): boolean {
		return this.hasFailed;
	}

	/**
	 * Whether the server refuses writes, because it is a standby or by its settings. Undefined when it does not say so: before
	 * PostgreSQL 14, and behind some proxies.
	 */
	get isReadOnly(): boolean | undefined {
		return this.readOnlyBecause && this.readOnlyBecause.size > 0;
	}

	private noteReadOnly(setting: string, isOn: boolean): void {
		this.readOnlyBecause ??= new Set();
		if (isOn) this.readOnlyBecause.add(setting);
		else this.readOnlyBecause.delete(setting);
	}

	override connect(): Promise<Client>;
	override connect(callback: ConnectCallback): void;
	override connect(callback?: ConnectCallback): Promise<Client> | void {
		if (this.ownership.begin()) this.once("end", () => this.ownership.end());
		const refusal = this.ownership.refusal() ?? this.nameSession() ?? this.refuseTls();
		if (refusal !== undefined) {
			this.ownership.end();
			if (callback === undefined) return Promise.reject(refusal);
			process.nextTick(callback as (error: Error) => void, refusal);
			return;
		}
		return callback === undefined ? (super.connect() as Promise<Client>) : super.connect(callback);
	}

	/** pg keeps a function as it was given. @returns why there is no name */
	private nameSession(): Error | undefined {
		const { connectionParameters } = internals(this);
		try {
			connectionParameters.application_name = sessionName(connectionParameters.application_name);
		} catch (error) {
			return error as Error;
		}
	}

	/** Node crashes when it writes a snapshot after `node:tls` was loaded, which pg does when it needs it. */
	private refuseTls(): Error | undefined {
		const { ssl } = internals(this);
		if (!ssl || !isBuildingSnapshot()) return undefined;
		const remedy =
			"cannot be used while a start-up snapshot is built, for Node cannot write node:tls into one: connect without TLS";
		return new OptionError("ssl", ssl, remedy, false);
	}

	/** Whether another process has opened this connection. Looks who this process is. */
	isInherited(): boolean {
		return this.ownership.isInherited();
	}

	/**
	 * Looks who this process is.
	 *
	 * @throws InheritedConnectionError (ERR_FORKSAFE_INHERITED) when another process has opened this connection
	 */
	assertOwn(): void {
		this.ownership.assertOwn();
	}

	/** Whether it was forgotten, as far as is known without a look at the process. */
	get isDiscarded(): boolean {
		return this.ownership.change !== undefined;
	}

	/**
	 * Forgets the connection without writing a byte: queries fail, the cancel key is scrubbed, the socket is closed in
	 * this process only. (What closes it is `stream.destroy()`: no Terminate, no close_notify, and no FIN as long as the
	 * process that opened it holds it too.)
	 */
	discard(change: ProcessChange): void {
		this.ownership.lose(change);
	}

	private forget(change: ProcessChange): void {
		const inside = internals(this);
		inside._connectionError = true;
		clearTimeout(inside.connectionTimeoutHandle);
		Object.assign(this, { processID: null, secretKey: null });
		refuseQueries(inside, change);
		if (inside._connecting) inside._connectionCallback?.(new InheritedConnectionError(change));
		else releaseCursors(inside.connection);
		discardStream(inside.connection.stream, change);
		// Whoever listens for notifications learns that none will come. Without a listener `error` would be thrown.
		process.nextTick(() => this.listenerCount("error") > 0 && this.emit("error", new InheritedConnectionError(change)));
	}

	override end(): Promise<void>;
	override end(callback: (error: Error) => void): void;
	override end(callback?: (error: Error) => void): Promise<void> | void {
		this.isInherited();
		return callback === undefined ? super.end() : super.end(callback);
	}

	/** @internal Every query passes here. pg calls it; see the top of this file */
	_pulseQueryQueue(): void {
		const inside = internals(this);
		if (inside._queryQueue.length > 0 && this.isInherited()) {
			refuseQueries(inside, this.ownership.change as ProcessChange);
			return;
		}
		this.statements?.adopt(inside._queryQueue);
		this.hasLooked = true;
		try {
			pulseQueryQueue.call(internals(this));
		} finally {
			this.hasLooked = false;
		}
	}

	/** @internal pg calls it */
	_handleErrorMessage(message: ServerMessage): void {
		if (this.statements?.retries(message) !== true) handleErrorMessage.call(internals(this), message);
	}
}

// pg keeps the cancel key in two plain properties and sends what it finds there: to read it is to ask whose process this is.
for (const name of ["processID", "secretKey"] as const) {
	const stored = Symbol(name);
	Object.defineProperty(Client.prototype, name, {
		get(this: Client & { [stored]?: number | undefined }) {
			return this.isInherited() ? undefined : this[stored];
		},
		set(this: Client & { [stored]?: number | undefined }, value: number | null) {
			this[stored] = value ?? undefined;
		},
	});
}

/** Closes the socket of a client that nobody waits for any more, without a word to the server. */
export function giveUp(client: Client, reason: unknown): void {
	if (reason instanceof InheritedConnectionError) client.discard(reason.change);
	else client.connection.stream.destroy(reason as Error);
}
