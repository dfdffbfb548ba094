/**
 * One signal or pool, one round, in a process of its own: `node process-watch-worker.ts signal|pool NAME WARM_UP_MILLIS MILLIS`.
 * Writes one line of JSON.
 */
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { type Operation, pools, signals } from "./process-watch-cases.ts";
import type { TimeSample } from "./worker.ts";
import { workloads } from "./workloads.ts";

/** Between two turns of the event loop. */
const LEAST_TURN_MILLIS = 2;

/** Does it so many times. */
type Repeat = (operations: number) => void | Promise<void>;

const [kind = "", name = "", ...durations] = process.argv.slice(2);
const [warmUpMillis = 0, millis = 0] = durations.map(Number);
const repeat = kind === "pool" ? await repeatUse(name) : repeatLook(await signals[name as keyof typeof signals]());
const operationsPerTurn = await warmUp(repeat, warmUpMillis);
process.stdout.write(`${JSON.stringify(await measure(repeat, operationsPerTurn, millis))}\n`, () => process.exit());

async function repeatUse(pool: string): Promise<Repeat> {
	const subject = await pools[pool as keyof typeof pools]();
	return (operations) => workloads.serial.run(subject, operations);
}

function repeatLook(look: Operation): Repeat {
	return (operations) => {
		let last: unknown;
		for (let i = 0; i < operations; i++) last = look();
		// What nobody looks at need not be done.
		if (last === repeatLook) throw new Error("unreachable");
	};
}

/** @returns how many operations take long enough for a clock to measure */
async function warmUp(repeat: Repeat, millis: number): Promise<number> {
	const end = performance.now() + millis;
	let operations = 1;
	for (;;) {
		const start = performance.now();
		await repeat(operations);
		const now = performance.now();
		if (now - start < LEAST_TURN_MILLIS) operations *= 2;
		else if (now >= end) return operations;
		await setImmediate();
	}
}

async function measure(repeat: Repeat, operationsPerTurn: number, millis: number): Promise<TimeSample> {
	let done = 0;
	let took = 0;
	const cpuBefore = process.cpuUsage();
	while (took < millis) {
		const start = performance.now();
		await repeat(operationsPerTurn);
		took += performance.now() - start;
		done += operationsPerTurn;
		await setImmediate();
	}
	const { user, system } = process.cpuUsage(cpuBefore);
	return { wall: (took * 1e6) / done, cpu: ((user + system) * 1_000) / done };
}
