import type { ProcessChange, ProcessWatch } from "@forksafe/core";
import type { Preset } from "@forksafe/pg";

/** What every pool under test can do, whatever its own words for it are. */
export interface Subject {
	/** One round trip through the pool: answers with `text`. */
	echo(text: string): Promise<string>;
	/** Leaves a trace on the server that cannot be left twice. */
	insert(key: string): Promise<void>;
	/** A round trip that keeps its connection busy for a while. */
	sleep(millis: number): Promise<void>;
	/** Takes a connection out of the pool. */
	hold(): Promise<Held>;
	counts(): Counts;
	/** Ends the pool. */
	end(): Promise<void>;
}

/** A connection taken out of the pool. */
export interface Held {
	/** The driver's own object for the connection. */
	readonly raw: object;
	/** The server's name for the session, asked on this connection. */
	backend(): Promise<string>;
	echo(text: string): Promise<string>;
	insert(key: string): Promise<void>;
	/** Ends the connection itself, by the driver's own means. */
	end(): Promise<void>;
	release(): void | Promise<void>;
}

export interface Counts {
	readonly used: number;
	readonly idle: number;
	readonly pending: number;
}

export interface OpenOptions {
	readonly url: string;
	readonly max: number;
	readonly min?: number;
	readonly idleTimeoutMillis?: number;
	/** Ours only. */
	readonly preset?: Preset;
	readonly validateAfterIdleMillis?: number;
	readonly validateTimeoutMillis?: number;
	readonly processWatch?: ProcessWatch;
	readonly onProcessChange?: (change: ProcessChange) => void;
	readonly log?: (message: string) => void;
}

/** A pool library under test. */
export interface Face {
	readonly name: string;
	readonly library: "core" | "pg" | "knex" | "knex-mysql" | "kysely" | "kysely-own" | "kysely-mysql";
	/** Whether it is one of ours. The others have to fail. */
	readonly isProtected: boolean;
	open(options: OpenOptions): Subject;
	/** What the server knows, asked on a connection of its own that no fork ever sees. */
	readonly server: ServerView;
}

export interface ServerView {
	/** The sessions that are alive, of those that the url has opened. */
	sessions(url: string): Promise<Set<string>>;
	/** How often the trace of a key was left. */
	traces(url: string, key: string): Promise<number>;
}
