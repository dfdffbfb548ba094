/** What is asked of the pools. */
import { BARE, CONNECTIONS, type Subject, type SubjectName, type SubjectOptions, subjectNames } from "./subjects.ts";

export interface Workload {
	readonly title: string;
	readonly subjects: readonly SubjectName[];
	readonly options?: SubjectOptions;
	/** Before the warm-up. */
	prepare?(subject: Subject): Promise<void>;
	/** So many operations, between two looks of the event loop at anything else. */
	run(subject: Subject, operations: number): Promise<void>;
	/** Whether all operations that are measured run at once, and not some thousands at a time. */
	readonly isAtOnce: boolean;
	/** So many operations warm it up at the least. */
	readonly leastWarmUp: number;
}

const USERS = 100;
const GIVES_UP_AFTER_MILLIS = 200;

const pools = subjectNames.filter((name) => name !== "the same, one process.ppid");
const ours = subjectNames.filter((name) => name.startsWith("forksafe"));

export const workloads = {
	serial: {
		title: "one user: acquire, release, and again",
		subjects: subjectNames,
		run: useRepeatedly,
		isAtOnce: false,
		leastWarmUp: 100_000,
	},
	contended: {
		title: `${USERS} users of ${CONNECTIONS} connections, each: acquire, await a microtask, release, and again`,
		subjects: pools,
		run: contend,
		isAtOnce: false,
		leastWarmUp: 100_000,
	},
	crowd: {
		title: "all acquire at once, and release when it is their turn",
		subjects: pools,
		run: crowd,
		isAtOnce: true,
		leastWarmUp: 50_000,
	},
	aborts: {
		title: "all wait at once, each with an AbortController of their own, and abort before anything is free",
		subjects: [BARE, ...ours],
		prepare: takeAll,
		run: abortAll,
		isAtOnce: true,
		leastWarmUp: 50_000,
	},
	timeouts: {
		title: `all wait at once, and give up after the pool's acquireTimeoutMillis (${GIVES_UP_AFTER_MILLIS})`,
		subjects: ours,
		options: { acquireTimeoutMillis: GIVES_UP_AFTER_MILLIS },
		prepare: takeAll,
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

async function contend(subject: Subject, operations: number): Promise<void> {
	const user = async (): Promise<void> => {
		for (let i = 0; i < operations / USERS; i++) {
			const resource = await subject.acquire();
			await Promise.resolve();
			subject.release(resource);
		}
	};
	await Promise.all(Array.from({ length: USERS }, user));
}

async function crowd(subject: Subject, operations: number): Promise<void> {
	const all: Promise<void>[] = [];
	for (let i = 0; i < operations; i++) all.push(subject.acquire().then((resource) => subject.release(resource)));
	await Promise.all(all);
}

async function takeAll(subject: Subject): Promise<void> {
	for (let i = 0; i < CONNECTIONS; i++) await subject.acquire();
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
