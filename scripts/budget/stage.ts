import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import pg from "pg";
import type { Order, Outcome, PoolKind } from "./worker.ts";

const PROGRAM = new URL("./worker.ts", import.meta.url);
const START_MILLIS = 60_000;

/** Worker processes over one server. */
export class Stage {
	readonly #workers: ChildProcess[];

	private constructor(workers: ChildProcess[]) {
		this.#workers = workers;
	}

	/** Starts so many, and waits until they are ready. */
	static async open(kind: PoolKind, url: string, workers: number, max: number): Promise<Stage> {
		const start = (): ChildProcess => fork(PROGRAM, [kind, url, String(max)], { execArgv: ["--conditions=@forksafe/source"] });
		const stage = new Stage(Array.from({ length: workers }, start));
		const signal = AbortSignal.timeout(START_MILLIS);
		try {
			await Promise.all(stage.#workers.map((worker) => once(worker, "message", { signal })));
			return stage;
		} catch (error) {
			await stage.close();
			throw error;
		}
	}

	/** One order for each worker; resolves when all have done as they were told. */
	async run(orders: readonly Order[], deadlineMillis: number): Promise<Outcome[]> {
		const signal = AbortSignal.timeout(deadlineMillis);
		const run = async (worker: ChildProcess, index: number): Promise<Outcome> => {
			worker.send(orders[index] as Order);
			const [outcome] = (await once(worker, "message", { signal })) as [Outcome];
			return outcome;
		};
		return Promise.all(this.#workers.map(run));
	}

	async close(): Promise<void> {
		const running = this.#workers.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
		for (const worker of running) worker.kill("SIGKILL");
		await Promise.all(running.map((worker) => once(worker, "exit")));
	}
}

/** Makes a role that may have so many sessions. @returns the url for it */
export async function limitedRole(url: string, role: string, limit: number): Promise<string> {
	const client = new pg.Client(url);
	await client.connect();
	await client.query(`create role ${role} login password '${role}' connection limit ${limit}`);
	await client.end();
	const own = new URL(url);
	own.username = own.password = role;
	return own.href;
}

export function sumOfErrors(outcomes: readonly Outcome[]): number {
	return outcomes.flatMap(({ errors }) => Object.values(errors)).reduce((sum, count) => sum + count, 0);
}
