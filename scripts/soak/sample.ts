import { readdirSync } from "node:fs";
import process from "node:process";

/** What a process holds in a quiet moment, after a garbage collection. */
export interface Sample {
	readonly heapMiB: number;
	readonly descriptors: number;
	/** Timers, sockets and whatever else keeps an event loop turning. */
	readonly resources: number;
	/** On the process. */
	readonly listeners: number;
}

/** What may come and go: heap that V8 has not given back, a connection that is idle at the one sample and not at the other. */
const ALLOWED: Sample = { heapMiB: 4, descriptors: 12, resources: 16, listeners: 0 };
/** Code is compiled and caches fill at first. */
const WARM_UP_SHARE = 0.25;
const LEAST_SAMPLES = 6;

/** Measures this process. */
export function takeSample(): Sample {
	// Twice: what the first one finalises, the second one frees.
	globalThis.gc?.();
	globalThis.gc?.();
	const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
	return {
		heapMiB: Math.round((process.memoryUsage().heapUsed / 2 ** 20) * 10) / 10,
		descriptors: process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0,
		resources: process.getActiveResourcesInfo().length,
		listeners,
	};
}

/** Compares the medians of the first and the last third after the warm-up. What leaks, grows with each cycle. */
export function growth(samples: readonly Sample[]): string[] {
	const warm = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
	if (warm.length < LEAST_SAMPLES) return [`${samples.length} samples are too few to tell whether anything grows`];
	const third = Math.floor(warm.length / 3);
	return (Object.keys(ALLOWED) as (keyof Sample)[])
		.map((name) => {
			const early = median(warm.slice(0, third).map((sample) => sample[name]));
			const late = median(warm.slice(-third).map((sample) => sample[name]));
			return late - early > ALLOWED[name] ? `${name} grew from ${early} to ${late}` : undefined;
		})
		.filter((complaint) => complaint !== undefined);
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
