/** What is asked of the pools. */
import { BARE, poolNames, type Subject, type SubjectName, type SubjectOptions, subjectNames } from "./pool-subjects.ts";

/** How large it is. */
export interface Scale {
	/** Of the pool. */
	readonly connections: number;
	/** Of those who wait at once, where it is about them. */
	readonly waiters: number;
}

export interface Workload {
	readonly title: string;
	readonly subjects: readonly SubjectName[];
	readonly options?: SubjectOptions;
	/** Before the warm-up. */
	prepare?(subject: Subject, scale: Scale): Promise<void>;
	/** So many operations, between two looks of the event loop at anything else. */
	run(subject: Subject, operations: number, scale: Scale): Promise<void>;
	/** Whether all operations that are measured run at once, and not some thousands at a time. */
	readonly isAtOnce: boolean;
	/** Its operations come in lots of so many. @default 1 */
	lot?(scale: Scale): number;
	/** So many operations warm it up at the least. */
	readonly leastWarmUp: number;
}

const USERS_PER_CONNECTION = 10;
const GIVES_UP_AFTER_MILLIS = 200;

const ours = subjectNames.filter((name) => name.startsWith("forksafe"));

export const workloads = {
	serial: {
		title: "one user: acquire, release, and again",
		subjects: subjectNames,
		prepare: openAll,
		run: useRepeatedly,
		isAtOnce: false,
		leastWarmUp: 100_000,
	},
	contended: {
		title: `${USERS_PER_CONNECTION} users for each connection, each: acquire, await a microtask, release, and again`,
		subjects: poolNames,
		prepare: openAll,
		run: contend,
		isAtOnce: false,
		lot: usersOf,
		leastWarmUp: 100_000,
	},
	crowd: {
		title: "all acquire at once, and release when it is their turn",
		subjects: poolNames,
		run: crowd,
		isAtOnce: true,
		leastWarmUp: 50_000,
	},
	waiters: {
		title: "one connection, which goes through the hands of all that wait for it",
		subjects: poolNames,
		run: queueUp,
		isAtOnce: false,
		lot: ({ waiters }) => waiters + 1,
		leastWarmUp: 20_000,
	},
	aborts: {
		title: "all wait at once, each with an AbortController of their own, and abort before anything is free",
		subjects: [BARE, ...ours],
		prepare: async (subject, scale) => void (await takeAll(subject, scale)),
		run: abortAll,
		isAtOnce: true,
		leastWarmUp: 50_000,
	},
	timeouts: {
		title: `all wait at once, and give up after the pool's acquireTimeoutMillis (${GIVES_UP_AFTER_MILLIS})`,
		subjects: ours,
		options: { acquireTimeoutMillis: GIVES_UP_AFTER_MILLIS },
		prepare: async (subject, scale) => void (await takeAll(subject, scale)),
		run: timeOutAll,
		isAtOnce: true,
		leastWarmUp: 20_000,
	},
} as const satisfies Record<string, Workload>;

export type WorkloadName = keyof typeof workloads;

async function useRepeatedly(subject: Subject, operations: number): Promise<void> {
	for (let i = 0; i < operations; i++) {
		const resource = await subject.acquire();
		subject.release(resource);
	}
}

async function contend(subject: Subject, operations: number, scale: Scale): Promise<void> {
	const users = usersOf(scale);
	const user = async (): Promise<void> => {
		for (let i = 0; i < operations / users; i++) {
			const resource = await subject.acquire();
			await Promise.resolve();
			subject.release(resource);
		}
	};
	await Promise.all(Array.from({ length: users }, user));
}

function usersOf({ connections }: Scale): number {
	return USERS_PER_CONNECTION * connections;
}

async function queueUp(subject: Subject, operations: number, { waiters }: Scale): Promise<void> {
	for (let done = 0; done < operations; done += waiters + 1) {
		const resource = await subject.acquire();
		const all: Promise<void>[] = [];
		for (let i = 0; i < waiters; i++) all.push(subject.acquire().then((served) => subject.release(served)));
		subject.release(resource);
		await Promise.all(all);
	}
}

async function crowd(subject: Subject, operations: number): Promise<void> {
	const all: Promise<void>[] = [];
	for (let i = 0; i < operations; i++) all.push(subject.acquire().then((resource) => subject.release(resource)));
	await Promise.all(all);
}

async function openAll(subject: Subject, scale: Scale): Promise<void> {
	for (const resource of await takeAll(subject, scale)) subject.release(resource);
}

function takeAll(subject: Subject, { connections }: Scale): Promise<unknown[]> {
	return Promise.all(Array.from({ length: connections }, () => subject.acquire()));
}

async function abortAll(subject: Subject, operations: number): Promise<void> {
	const controllers: AbortController[] = [];
	const all: Promise<void>[] = [];
	for (let i = 0; i < operations; i++) {
		const controller = new AbortController();
		controllers.push(controller);
		all.push(mustFail(subject.acquire(controller.signal)));
	}
	for (const controller of controllers) controller.abort();
	await Promise.all(all);
}

async function timeOutAll(subject: Subject, operations: number): Promise<void> {
	await Promise.all(Array.from({ length: operations }, () => mustFail(subject.acquire())));
}

function mustFail(acquired: Promise<unknown>): Promise<void> {
	return acquired.then(gotOne, ignore);
}

function gotOne(): never {
	throw new Error("got a connection, although none was free");
}

function ignore(): void {}
