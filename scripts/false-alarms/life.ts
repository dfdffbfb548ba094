/**
 * A process that lives an ordinary life: `life.ts SECONDS PARENTS DIRECTORY URL LINE_URL [WALL_CLOCK]`. Its pools work, or are idle,
 * while one event after the other happens to it. It reports what each has done to them; nothing is what it should be.
 *
 * It is the last of a line of forks: each of its parents takes in the orphans of the one before it, so that it gets another
 * parent whenever one dies.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { faces } from "../../test/faces/index.ts";
import { adoptOrphans } from "../../test/support/kernel-calls.ts";
import { getppid, posixFork, waitpid } from "../../test/support/posix-fork.ts";
import { report } from "../../test/support/report.ts";
import { untilTrue } from "../../test/support/until-true.ts";
import { events, type Request, type World } from "./events.ts";
import { type Counts, countChanges, counts, WatchedPool, watchAlarms } from "./watched-pool.ts";

/** What it says. */
export interface Line {
	readonly please?: Request & { readonly serial: number; readonly parent: number };
	readonly complaint?: string;
	readonly happened?: { readonly event: string } & Counts;
	/** It has lived to the end of its time. */
	readonly isOver?: true;
}

const QUIET_MILLIS = 1_200; // connections that have been idle for a second are looked at
/** So that a tick of maintenance looks at what has happened. */
const TICK_MILLIS = 1_100;
const REQUEST_DEADLINE_MILLIS = 60_000;
const REAP_MILLIS = 200;

const [seconds = "", parents = "", directory = "", url = "", lineUrl = "", wallClock] = process.argv.slice(2);
let parentsLeft = Number(parents);
if (!bearChildren(parentsLeft)) await live();

/** @returns whether this process is one of the parents, which have nothing to do but to wait */
function bearChildren(count: number): boolean {
	for (let n = 0; n < count + 1; n++) {
		adoptOrphans(true);
		if (posixFork() === 0) continue;
		setInterval(reap, REAP_MILLIS);
		return true;
	}
	return false;
}

/** Goes when all that came after it have gone. */
function reap(): void {
	try {
		while (waitpid(-1, { noHang: true }) !== undefined);
	} catch {
		process.exit();
	}
}

async function live(): Promise<void> {
	const end = performance.now() + Number(seconds) * 1_000;
	const complain = (complaint: string): void => report({ complaint } satisfies Line);
	const pools = faces
		.filter(({ isProtected, library }) => isProtected && ["core", "pg", "knex", "kysely"].includes(library))
		.map((face) => new WatchedPool(face, face.library === "core" ? lineUrl : url, complain));
	for (const pool of pools) await pool.open();
	watchAlarms();

	let serial = 0;
	const world: World = {
		async ask(request) {
			const done = join(directory, `done-${++serial}`);
			const parent = getppid();
			report({ please: { ...request, serial, parent } } satisfies Line);
			await untilTrue(() => existsSync(done), { what: `${request.kind} is done`, deadlineMillis: REQUEST_DEADLINE_MILLIS });
			if (request.kind !== "end the parent") return;
			parentsLeft--;
			await untilTrue(() => process.ppid !== parent, { what: "it has another parent" });
		},
		parents: () => parentsLeft,
		wallClock,
	};
	// Everything happens once, however short the time is: in turn to pools that are idle and to pools that work.
	for (let round = 0; round < 1 || performance.now() < end; round++) {
		for (const [index, event] of events.entries()) {
			if (round > 0 && performance.now() >= end) break;
			if (!event.isPossible(world)) continue;
			const before = { ...counts };
			await ((round + index) % 2 === 0 ? whileIdle : whileBusy)(pools, () => event.happen(world));
			for (const pool of pools) await pool.inspect();
			countChanges();
			report({ happened: { event: event.name, ...since(before) } } satisfies Line);
		}
	}
	for (const pool of pools) await pool.end();
	report({ isOver: true } satisfies Line);
	process.exit();
}

async function whileBusy(pools: readonly WatchedPool[], happen: () => Promise<void>): Promise<void> {
	let isOver = false;
	const work = pools.map((pool) => pool.work(() => isOver));
	await happen();
	await delay(TICK_MILLIS);
	isOver = true;
	await Promise.all(work);
}

/** It begins when the connections are just being looked at. */
async function whileIdle(pools: readonly WatchedPool[], happen: () => Promise<void>): Promise<void> {
	await delay(QUIET_MILLIS);
	const asked = pools.map((pool) => pool.askOnce());
	await happen();
	await Promise.all(asked);
	await delay(TICK_MILLIS);
}

function since(before: Counts): Counts {
	const names = Object.keys(counts) as (keyof Counts)[];
	return Object.fromEntries(names.map((name) => [name, counts[name] - before[name]])) as unknown as Counts;
}
