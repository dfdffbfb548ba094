import { fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { connectionBudget, connectionPermits } from "@forksafe/cluster";
import { quantile } from "../bench/statistics.ts";

/** Medians. */
interface PermitCosts {
	/** Of a permit that this process holds already. */
	readonly hereNanos: number;
	/** Of one that the budget's process has to be asked for. */
	readonly overSocketMicros: number;
}

const SAMPLES = 2_000;
const IN_A_SAMPLE = 100;

/** Measures in a process of its own, by a budget that this process serves. */
export async function permitCosts(): Promise<PermitCosts> {
	const budget = connectionBudget({ total: 2 * SAMPLES });
	const child = fork(new URL(import.meta.url), { execArgv: ["--conditions=@forksafe/source"] });
	try {
		const [costs] = (await once(child, "message", { signal: AbortSignal.timeout(60_000) })) as [PermitCosts];
		return costs;
	} finally {
		child.kill("SIGKILL");
		budget.close();
	}
}

async function measure(): Promise<PermitCosts> {
	const permits = connectionPermits();
	const { signal } = new AbortController();
	const [socket, here]: [number[], number[]] = [[], []];
	for (let sample = 0; sample < SAMPLES; sample++) {
		const since = performance.now();
		await permits.acquire(signal);
		socket.push((performance.now() - since) * 1_000);
	}
	for (let sample = 0; sample < SAMPLES; sample++) {
		const since = performance.now();
		for (let count = 0; count < IN_A_SAMPLE; count++) {
			permits.release();
			void permits.acquire(signal);
		}
		here.push(((performance.now() - since) * 1e6) / IN_A_SAMPLE);
	}
	return { hereNanos: quantile(here, 0.5), overSocketMicros: quantile(socket, 0.5) };
}

if (process.argv[1] === import.meta.filename && process.send !== undefined) process.send(await measure());
