/**
 * Serves the permits of a machine over a unix domain socket, whose path travels in the environment. One transport for
 * `node:cluster`, `child_process`, programs that are started by a shell, and real forks, which have no IPC channel of their own;
 * the messages of the application are not touched, and the kernel tells at once when a process has gone, however it died.
 */
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
	afterFork,
	type ConnectionHolder,
	currentGeneration,
	OptionError,
	type ProcessChange,
	registerHolder,
	rejectUnknownOptions,
} from "@forksafe/core";
import { checkCount } from "./check-count.ts";
import { type Account, Ledger, type LedgerStats } from "./ledger.ts";
import type { Link, LinkEvents } from "./link.ts";
import { readMessages, sendMessage } from "./messages.ts";

/** Where processes find the budget. */
export const PATH_VARIABLE = "FORKSAFE_BUDGET";
/** While somebody waits, or a dead process is being forgotten. */
const TICK_MILLIS = 100;

/** What may be opened. */
export interface BudgetOptions {
	/** So many connections all pools of all processes together may have. */
	total: number;
	/**
	 * So many of them are kept for the sessions of processes that have died, until the server has noticed (a second is allowed for
	 * that). Up to this number, the permits of a dead process can be used again at once. @default 0
	 */
	reserve?: number;
}

/** How the budget stands. */
export interface BudgetStats extends LedgerStats {
	readonly total: number;
	readonly reserve: number;
}

/** A budget that this process serves. */
export interface Budget {
	stats(): BudgetStats;
	/** Serves no more. Processes keep what they hold, and fall back to a fixed share. */
	close(): void;
}

let served: BudgetServer | undefined;

/**
 * Declares how many connections all processes of a machine together may have: in the primary, or in the parent that forks, before
 * it starts the others. Pools take part by `permits: connectionPermits()`, in whichever process they are.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION), also when this process serves one already; Error when it cannot listen
 * @example
 * ```ts
 * if (cluster.isPrimary) {
 * 	connectionBudget({ total: 90, reserve: 5 });
 * 	for (let worker = 0; worker < 15; worker++) cluster.fork();
 * }
 * ```
 */
export function connectionBudget(options: BudgetOptions): Budget {
	rejectUnknownOptions(options, ["total", "reserve"]);
	const { total, reserve = 0 } = options;
	checkCount("total", total, 1);
	checkCount("reserve", reserve, 0);
	if (reserve >= total) throw new OptionError("reserve", reserve, `must be below total (${total})`);
	afterFork(); // what the parent of this process serves is not served here
	if (served !== undefined) throw new OptionError("total", total, "was declared already: close() the other budget first");
	served = new BudgetServer(total, reserve);
	return served;
}

/** For the pools of the process that serves the budget; undefined in every other. */
export function joinServedBudget(events: LinkEvents): Link | undefined {
	return served?.join(events);
}

class BudgetServer implements Budget {
	readonly #total: number;
	readonly #reserve: number;
	readonly #ledger: Ledger;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	/** Of this process. */
	readonly #links = new Set<LinkEvents>();
	readonly #directory: string | undefined;
	#ticking: NodeJS.Timeout | undefined;
	/** How the registry reaches it. The registry holds it weakly, so it has to be kept. */
	readonly #holder: ConnectionHolder = { discardInherited: (change) => this.#disown(change) };
	readonly #unregister: () => void;
	readonly #onExit = (): void => {
		// A child that has not noticed yet that it is one must not remove what its parent serves.
		afterFork();
		if (served === this) this.#removeFiles();
	};

	constructor(total: number, reserve: number) {
		this.#total = total;
		this.#reserve = reserve;
		this.#ledger = new Ledger(total - reserve, reserve, () => performance.now());
		this.#server = createServer((socket) => this.#accept(socket));
		const { path, directory } = listen(this.#server);
		this.#directory = directory;
		process.env[PATH_VARIABLE] = path;
		process.on("exit", this.#onExit);
		this.#unregister = registerHolder(this.#holder);
	}

	stats(): BudgetStats {
		return { total: this.#total, reserve: this.#reserve, ...this.#ledger.stats() };
	}

	close(): void {
		currentGeneration();
		if (served !== this) return;
		delete process.env[PATH_VARIABLE];
		this.#removeFiles();
		this.#stop();
		for (const { lost } of this.#links) lost("it was closed");
	}

	/** Whoever is told something is so a little later, as over a socket: the ledger is not to be asked while it tells. */
	join(events: LinkEvents): Link {
		this.#links.add(events);
		queueMicrotask(events.opened);
		const account = this.#ledger.join((message) => queueMicrotask(() => events.received(message)));
		return {
			send: (message) => this.#receive(account, message),
			close: () => {
				this.#links.delete(events);
				this.#leave(account);
			},
			discard: () => {},
			hold: () => {},
		};
	}

	#accept(socket: Socket): void {
		currentGeneration();
		if (served !== this) {
			socket.destroy(); // whoever has come tries again, and then comes to the process that serves
			return;
		}
		socket.unref();
		this.#sockets.add(socket);
		const account = this.#ledger.join((message) => sendMessage(socket, message));
		readMessages(socket, (message) => {
			currentGeneration();
			if (this.#sockets.has(socket)) this.#receive(account, message);
		});
		socket.on("error", () => {}); // it is closed, too
		socket.on("close", () => {
			currentGeneration();
			if (this.#sockets.delete(socket)) this.#leave(account);
		});
	}

	#receive(account: Account, message: object): void {
		this.#ledger.receive(account, message);
		this.#keepTicking();
	}

	#leave(account: Account): void {
		this.#ledger.leave(account);
		this.#keepTicking();
	}

	#keepTicking(): void {
		if (this.#ticking !== undefined || !this.#ledger.isBusy || served !== this) return;
		this.#ticking = setInterval(() => {
			currentGeneration();
			if (served !== this) return;
			this.#ledger.tick();
			if (this.#ledger.isBusy) return;
			clearInterval(this.#ticking);
			this.#ticking = undefined;
		}, TICK_MILLIS);
		this.#ticking.unref();
	}

	/** In a child of a fork: its parent serves. In a copy of the whole machine, this process goes on for the copies of the others. */
	#disown({ cause }: ProcessChange): void {
		if (cause === "fork") this.#stop();
	}

	#stop(): void {
		served = undefined;
		this.#unregister();
		process.off("exit", this.#onExit);
		clearInterval(this.#ticking);
		const sockets = [...this.#sockets];
		this.#sockets.clear();
		for (const socket of sockets) socket.destroy();
		this.#server.close();
	}

	#removeFiles(): void {
		if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
	}
}

/** @throws Error when there is no place for its socket */
function listen(server: Server): { path: string; directory: string | undefined } {
	let failure: Error | undefined;
	server.on("error", (error) => {
		failure = error;
		process.emitWarning(`the connection budget cannot be served: ${error.message}`, { type: "ForkSafeWarning" });
	});
	// Only this user can enter it.
	const directory = process.platform === "win32" ? undefined : mkdtempSync(join(tmpdir(), "forksafe-"));
	const path = directory === undefined ? `\\\\.\\pipe\\forksafe-${crypto.randomUUID()}` : join(directory, "budget");
	// libuv removes the file of a listener that is closed, also in a forked child, where the parent goes on listening. It is not
	// to find it.
	const bound = directory === undefined ? path : `${path}.new`;
	// Exclusive: in a worker of node:cluster the primary would listen, for all of them.
	server.listen({ path: bound, exclusive: true });
	if (!server.listening) {
		if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
		const reason = failure?.message ?? "its path may be too long, or its directory not writable";
		throw new Error(`the connection budget cannot listen at ${bound}: ${reason}`);
	}
	if (directory !== undefined) renameSync(bound, path);
	server.unref();
	return { path, directory };
}
