/**
 * One signal or pool, one round, in a process of its own: `node process-watch-worker.ts signal|pool NAME WARM_UP_MILLIS MILLIS`,
 * both of the processor. Writes one line of JSON.
 */
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import type { TimeSample } from "./acquire-worker.ts";
import { type Operation, pools, signals } from "./process-watch-cases.ts";
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

/** @returns how many operations take long enough to be measured */
async function warmUp(repeat: Repeat, millis: number): Promise<number> {
	const end = cpuMillis() + millis;
	let operations = 1;
	for (;;) {
		const { cpu } = await measureTurn(repeat, operations);
		if (cpu < LEAST_TURN_MILLIS) operations *= 2;
		else if (cpuMillis() >= end) return operations;
		await setImmediate();
	}
}

async function measure(repeat: Repeat, operationsPerTurn: number, millis: number): Promise<TimeSample> {
	let [done, wall, cpu] = [0, 0, 0];
	while (cpu < millis) {
		const turn = await measureTurn(repeat, operationsPerTurn);
		done += operationsPerTurn;
		wall += turn.wall;
		cpu += turn.cpu;
		await setImmediate();
	}
	return { wall: (wall * 1e6) / done, cpu: (cpu * 1e6) / done };
}

/** In milliseconds. */
async function measureTurn(repeat: Repeat, operations: number): Promise<{ wall: number; cpu: number }> {
	const wallBefore = performance.now();
	const cpuBefore = cpuMillis();
	await repeat(operations);
	return { wall: performance.now() - wallBefore, cpu: cpuMillis() - cpuBefore };
}

/** So long this process has had a processor: what others do on the machine does not shorten a warm-up. */
function cpuMillis(): number {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1_000;
}
