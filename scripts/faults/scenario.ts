import type { Account } from "./account.ts";
import type { Bench } from "./bench.ts";
import type { Subject } from "./subjects.ts";

/** One fault, and what forksafe must make of it. */
export interface Scenario {
	readonly name: string;
	/** @default over TCP, from a timer */
	readonly ways?: readonly Way[];
	/** Whether connections go through the chaos proxy. */
	readonly isProxied?: boolean;
	/** As whom, and where to, if not as everybody. */
	readonly target?: Target;
	/** It waits for 30 s or more. */
	readonly isLong?: boolean;
	/** It measures so finely that nothing else may run beside it. */
	readonly isQuiet?: boolean;
	/** So many programs do it at once. @default 1 */
	readonly processes?: number;
	/** Whether a plain pool cannot even try. */
	readonly isOursOnly?: boolean;
	/** The server cannot be reached afterwards either, or not by this pool: it need not be usable then. */
	readonly isHopeless?: boolean;
	/** After this the program is killed: it hangs. */
	readonly deadlineMillis: number;
	/** Runs in a program of its own. Queries that fail are in the account; what it throws fails the cell. */
	play(bench: Bench): Promise<void>;
	/** What is not as it has to be: sentences, or false where all is well. */
	must(account: Account, subject: Subject): readonly (string | false)[];
}

/** The transport, and what calls the code that asks: in the loop's next poll, or only after it, the socket's end is read. */
export interface Way {
	readonly transport: "TCP" | "unix";
	readonly wake: "timer" | "message";
}

/**
 * - `limited`: as a role that may have 5 sessions
 * - `password`, `database`: with a wrong one
 * - `nobody`: a port where nobody listens
 * - `nowhere`: a name that does not exist
 * - `tls`: TLS, of a server that has none
 */
export type Target = "limited" | "password" | "database" | "nobody" | "nowhere" | "tls";

/** Both ways to be woken, over both transports. */
export const allWays: readonly Way[] = [
	{ transport: "unix", wake: "timer" },
	{ transport: "TCP", wake: "timer" },
	{ transport: "unix", wake: "message" },
	{ transport: "TCP", wake: "message" },
];

/** What a program asks of the stage that it runs on. */
export type Action =
	| "terminate sessions"
	| "halt the server"
	| "restart the server"
	| "resume the server after 2 s"
	| "freeze for 3 s"
	| "swallow new connections"
	| "stall connections"
	| "reset connections"
	| "cut connections"
	| "slow the network"
	| "heal the network"
	| "wait for the others"
	| "ring"
	| "count sessions";
