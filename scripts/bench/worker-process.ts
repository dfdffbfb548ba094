import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

export interface WorkerOptions {
	/** For Node, in front of the program. */
	readonly flags?: readonly string[];
	/** Added to this process's environment. */
	readonly env?: Readonly<Record<string, string>>;
	/** For each answer; then the worker is killed. @default 60000 */
	readonly deadlineMillis?: number;
}

type Reply<Answer> = { readonly answer: Answer } | { readonly error: string };

/** A process that waits between its orders: several of them can be measured in turn, and none has compiled what another one runs. */
export class WorkerProcess<Order, Answer> {
	readonly #child: ChildProcess;
	readonly #name: string;
	readonly #deadlineMillis: number;

	/** It is to call {@link obeyOrders}. */
	constructor(program: URL, args: readonly string[], { flags = [], env = {}, deadlineMillis = 60_000 }: WorkerOptions = {}) {
		this.#child = fork(program, args, { execArgv: [...flags], env: { ...process.env, ...env } });
		this.#name = `worker ${args.at(-1) ?? program.href} (pid ${this.#child.pid})`;
		this.#deadlineMillis = deadlineMillis;
	}

	/** @throws Error when it fails, ends, or has not answered by the deadline */
	async order(order: Order): Promise<Answer> {
		const settled = new AbortController();
		let isLate = false;
		const deadline = setTimeout(() => {
			isLate = true;
			this.#child.kill("SIGKILL");
		}, this.#deadlineMillis);
		try {
			const { signal } = settled;
			const reply = once(this.#child, "message", { signal });
			const end = once(this.#child, "exit", { signal }).then(([code, by]) => {
				const how = isLate ? `was killed: no answer within ${this.#deadlineMillis} ms` : `has ended by ${by ?? `code ${code}`}`;
				throw new Error(`${this.#name} ${how}`);
			});
			this.#child.send(order as object);
			const [message] = (await Promise.race([reply, end])) as [Reply<Answer>];
			if ("error" in message) throw new Error(`${this.#name}: ${message.error}`);
			return message.answer;
		} finally {
			clearTimeout(deadline);
			settled.abort();
		}
	}

	async stop(): Promise<void> {
		const { exitCode, signalCode } = this.#child;
		if (exitCode !== null || signalCode !== null) return;
		const gone = once(this.#child, "exit");
		this.#child.kill("SIGKILL");
		await gone;
	}
}

/** In the worker: does as it is told, one order after another, as long as there is somebody to tell it. */
export function obeyOrders<Order, Answer>(obey: (order: Order) => Promise<Answer>): void {
	process.on("disconnect", () => process.exit());
	process.on("message", (order: Order) => {
		obey(order).then(
			(answer) => process.send?.({ answer }),
			(error: unknown) => process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
		);
	});
}
