/** What happens to every process in the course of its life, and is no copy and no death of it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setWallClock } from "../../test/support/wall-clock.ts";

/** What a process cannot do to itself. */
export type Request =
	| { readonly kind: "stop"; readonly millis: number }
	| { readonly kind: "starve"; readonly millis: number }
	| { readonly kind: "end the parent" };

/** What an event needs of the world. */
export interface World {
	/** Resolves when it has been done. */
	ask(request: Request): Promise<void>;
	/** How many parents it has that can die before it. */
	parents(): number;
	/** The file that its time of day is read from, see `withOwnWallClock`; undefined where its clock cannot be set. */
	readonly wallClock: string | undefined;
}

/** Something that happens. */
export interface LifeEvent {
	readonly name: string;
	/** Whether it can happen now. */
	isPossible(world: World): boolean;
	happen(world: World): Promise<void>;
}

const HOUR_SECONDS = 3_600;
const SPAWNS = 40;
const SPAWNS_AT_A_TIME = 8;
const GARBAGE_MILLIS = 500;
const BLOCKED_MILLIS = 2_000;
const STARVED_MILLIS = 2_000;
/** Longer than any deadline of these pools. */
const LONG_STOP_MILLIS = 6_000;

const always = (): boolean => true;
const clockCanBeSet = ({ wallClock }: World): boolean => wallClock !== undefined;

export const events: readonly LifeEvent[] = [
	{
		name: "its parent dies",
		isPossible: (world) => world.parents() > 0,
		happen: (world) => world.ask({ kind: "end the parent" }),
	},
	{ name: "stopped for 0.3 s", isPossible: always, happen: (world) => world.ask({ kind: "stop", millis: 300 }) },
	{ name: "stopped for 6 s", isPossible: always, happen: (world) => world.ask({ kind: "stop", millis: LONG_STOP_MILLIS }) },
	{ name: "garbage collections", isPossible: always, happen: collectGarbage },
	{ name: "event loop blocked for 2 s", isPossible: always, happen: async () => block(BLOCKED_MILLIS) },
	{
		name: "CPU starved for 2 s",
		isPossible: always,
		happen: (world) => world.ask({ kind: "starve", millis: STARVED_MILLIS }),
	},
	{ name: `${SPAWNS} processes spawned`, isPossible: always, happen: spawnMany },
	{ name: "wall clock an hour forward", isPossible: clockCanBeSet, happen: async (world) => set(world, HOUR_SECONDS) },
	{ name: "wall clock an hour back", isPossible: clockCanBeSet, happen: async (world) => set(world, -HOUR_SECONDS) },
	{ name: "wall clock right again", isPossible: clockCanBeSet, happen: async (world) => set(world, 0) },
];

function set({ wallClock = "" }: World, seconds: number): void {
	setWallClock(wallClock, seconds);
	const offBySeconds = Math.abs(Date.now() / 1_000 - performanceEpochSeconds() - seconds);
	// libfaketime that does nothing would prove nothing.
	if (offBySeconds > HOUR_SECONDS / 2) throw new Error(`the wall clock is off by ${offBySeconds} s of what it was set to`);
}

/** The true time: the clock of timers goes on as it does. */
function performanceEpochSeconds(): number {
	return startedAt / 1_000 + performance.now() / 1_000;
}

const startedAt = Date.now() - performance.now();

async function collectGarbage(): Promise<void> {
	const end = performance.now() + GARBAGE_MILLIS;
	while (performance.now() < end) {
		const garbage = Array.from({ length: 200_000 }, (_, index) => ({ text: `garbage ${index}` }));
		globalThis.gc?.();
		if (garbage.length === 0) return;
	}
}

function block(millis: number): void {
	const end = performance.now() + millis;
	while (performance.now() < end);
}

async function spawnMany(): Promise<void> {
	let left = SPAWNS;
	const starter = async (): Promise<void> => {
		while (left-- > 0) await once(spawn("true", { stdio: "ignore" }), "exit");
	};
	await Promise.all(Array.from({ length: SPAWNS_AT_A_TIME }, starter));
}
