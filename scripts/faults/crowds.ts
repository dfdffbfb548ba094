import { noneFails } from "./requirements.ts";
import type { Scenario } from "./scenario.ts";
import { max } from "./subjects.ts";

const graceMillis = 1_000;
const waiters = 10_000;
const giveUpMillis = 1_500;
const leakThresholdMillis = 1_000;
const processes = 4;
const queriesEach = 100;
const roleLimit = 5;

/** More want a connection than can have one. */
export const crowds: readonly Scenario[] = [
	limited(0),
	limited(20),
	{
		name: "10 leaked, one more acquire",
		isLong: true,
		deadlineMillis: 110_000,
		async play(bench) {
			const leaked = await Promise.all(Array.from({ length: max }, () => bench.pool.hold()));
			bench.ask(1);
			await bench.settled(63_000);
			for (const release of leaked) release();
		},
		must: ({ failed, lastErrorMillis = 0 }, { acquireDeadlineMillis = 0 }) => [
			failed !== 1 && "no error",
			lastErrorMillis > acquireDeadlineMillis + graceMillis && `an error after ${Math.round(lastErrorMillis)} ms`,
		],
	},
	{
		name: "10 leaked, one more acquire, with leak detection",
		isOursOnly: true,
		deadlineMillis: 60_000,
		async play(bench) {
			bench.openWith({ acquireTimeoutMillis: 3_000, leakThresholdMillis });
			const leaked = await Promise.all(Array.from({ length: max }, () => bench.pool.hold()));
			bench.ask(1);
			await bench.settled(10_000);
			if (!bench.log.some((line) => line.includes("scripts/faults/"))) bench.flaw("nobody names the holders");
			for (const release of leaked) release();
		},
		must: ({ failed, lastErrorMillis = 0 }) => [
			failed !== 1 && "no error",
			lastErrorMillis > 3_000 + graceMillis && `an error after ${Math.round(lastErrorMillis)} ms`,
		],
	},
	{
		name: "10,000 waiters give up",
		isQuiet: true,
		deadlineMillis: 60_000,
		async play(bench) {
			bench.openWith({ acquireTimeoutMillis: giveUpMillis });
			const held = await Promise.all(Array.from({ length: max }, () => bench.pool.hold()));
			bench.ask(waiters);
			await new Promise((resolve) => void setTimeout(resolve, giveUpMillis / 2));
			const stop = bench.watchLoop();
			await bench.settled(10_000);
			stop();
			const { pending } = bench.pool.counts();
			if (pending > 0) bench.flaw(`${pending} ghosts wait on`);
			for (const release of held) release();
		},
		must: ({ failed, blockedMillis = 0 }) => [
			failed !== waiters && `${failed} of ${waiters} gave up`,
			blockedMillis >= 45 && `the event loop was blocked for ${Math.round(blockedMillis)} ms`,
		],
	},
];

/** Each process asks its queries at once, and ends its pool when it has its answers: others wait for its sessions. */
function limited(millis: number): Scenario {
	return {
		name: `role limited to 5 connections, 4 processes of max 10, 100 queries each, ${millis === 0 ? "short" : `${millis} ms`}`,
		target: "limited",
		isQuiet: true,
		processes,
		deadlineMillis: 60_000,
		async play(bench) {
			await bench.please("wait for the others");
			// One connection for each process is one less than the role may have.
			await bench.measureIdeal(queriesEach, millis, processes / roleLimit);
			await bench.please("wait for the others");
			bench.ask(queriesEach, millis);
			await bench.settled(20_000);
		},
		must: (account) => {
			const { lastMillis, idealMillis = 0 } = account;
			const isSlow = lastMillis > 1.5 * idealMillis;
			return [noneFails(account), isSlow && `took ${Math.round(lastMillis)} ms, where ${Math.round(idealMillis)} are ideal`];
		},
	};
}
