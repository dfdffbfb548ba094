/**
 * What this process knows of itself, and who holds connections in it. It belongs to the process, not to this module: two loaded
 * copies of the package share it.
 */
import process from "node:process";
import type { ProcessChange } from "./process-change.ts";
import { isBuildingSnapshot } from "./snapshot.ts";
import { type TruePid, truePidOn } from "./true-pid.ts";
import { VmClock } from "./vm-clock.ts";

/** Something that holds connections of this process. */
export interface ConnectionHolder {
	/** Forgets everything inherited, synchronously, without writing a byte. */
	discardInherited(change: ProcessChange): void;
	/** Tells the world, after every holder has discarded. */
	announce?(change: ProcessChange): void;
	/** Ends its connections, and opens none before `resume`. */
	suspend?(options: SuspendOptions): Promise<void>;
	resume?(): void;
}

/** How a pool is suspended. */
export interface SuspendOptions {
	/** Then connections in use are ended all the same, and connects in progress given up. 0: wait for ever. @default 30000 */
	deadlineMillis?: number;
	/**
	 * What becomes of acquires until the pool is resumed, those that wait already included: they wait, and their deadlines stand
	 * still, or they are rejected with PoolSuspendedError (ERR_FORKSAFE_SUSPENDED). @default "wait"
	 */
	acquires?: "wait" | "reject";
}

/** Knows without a system call whether this process is a copy. `@forksafe/sentinel` brings one. */
export interface ForkDetector {
	/** Whether this process was copied from the one that has last called `reset`. Asked on every look. */
	isCopy(): boolean;
	/** This process is the original from now on. */
	reset(): void;
}

/** What this process knows of itself. */
export interface Registry {
	generation: number;
	/** The true pid of the process that this generation belongs to. */
	pid: number;
	/** The PID namespace that it is a pid of; empty where that is not known. */
	namespace: string;
	/** `process.pid` and `process.ppid` when the truth was last asked for: what the tripwire compares with. */
	storedPid: number;
	parentPid: number;
	truthAskedAt: number;
	lastChange: ProcessChange | undefined;
	/** It builds a snapshot: whoever starts from that is another process. */
	isToBeStarted: boolean;
	/** In place of `process.ppid`, where there is one. */
	detector: ForkDetector | undefined;
	vmClock: VmClock;
	readonly holders: Set<WeakRef<ConnectionHolder>>;
	readonly listeners: Set<(change: ProcessChange) => void>;
}

/**
 * Reads the live `process` object, a fifth faster: `process` is so large that V8 keeps it as a hash table, until it is the
 * prototype of something that is read.
 */
export const self: Pick<NodeJS.Process, "pid" | "ppid"> = Object.create(process);
export const truth: TruePid = truePidOn(process.platform);
/** Windows has no fork, and `process.ppid` takes a snapshot of all processes there. */
export const watchesParent: boolean = process.platform !== "win32";
/** Where the truth costs a diagnostic report, the maintenance tick asks for it this often only. */
export const COSTLY_TRUTH_INTERVAL_MILLIS: number = 30_000;
const VMCLOCK = "/dev/vmclock0";

const REGISTRY = Symbol.for("@forksafe/core/process-identity@1");
const shared = globalThis as { [REGISTRY]?: Registry };
/** Whether no other copy of this module was loaded before. */
export const isFirstCopy: boolean = shared[REGISTRY] === undefined;
shared[REGISTRY] ??= {
	generation: 0,
	pid: truth.read(),
	namespace: truth.readNamespace(),
	storedPid: self.pid,
	parentPid: watchesParent ? self.ppid : 0,
	truthAskedAt: performance.now(),
	lastChange: undefined,
	isToBeStarted: isBuildingSnapshot(),
	detector: undefined,
	vmClock: new VmClock(VMCLOCK),
	holders: new Set(),
	listeners: new Set(),
};
export const registry: Registry = shared[REGISTRY];

/** Removes from the registry what was collected without saying goodbye. */
const collected = new FinalizationRegistry<WeakRef<ConnectionHolder>>((holder) => {
	registry.holders.delete(holder);
});

/**
 * Registers what holds connections, weakly: a pool that nobody uses any more can still be collected.
 * Holders are told in the order of their registration.
 *
 * @returns a function that takes the holder out again
 */
export function registerHolder(holder: ConnectionHolder): () => void {
	const reference = new WeakRef(holder);
	registry.holders.add(reference);
	if (!isBuildingSnapshot()) collectWith(reference);
	return () => {
		registry.holders.delete(reference);
		collected.unregister(reference);
	};
}

/** In the order of their registration. */
export function connectionHolders(): readonly ConnectionHolder[] {
	return [...registry.holders].map((holder) => holder.deref()).filter((holder) => holder !== undefined);
}

/**
 * Notices when a holder is collected.
 *
 * Not while a snapshot is built: V8 cannot write one with a finalization registry whose turn has come, and before it writes one
 * it collects its garbage.
 */
export function collectWith(reference: WeakRef<ConnectionHolder>): void {
	const holder = reference.deref();
	if (holder === undefined) registry.holders.delete(reference);
	else collected.register(holder, reference, reference);
}
