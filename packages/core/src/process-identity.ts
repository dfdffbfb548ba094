/**
 * Which process is this? The one place where a copied process is noticed.
 *
 * - The registry belongs to the process, not to this module: two loaded copies of the package share it.
 * - `pid` is always a true pid, read from the kernel; `process.pid` is compared with itself only.
 * - A generation ends exactly once. By the time anybody is told, `generation`, `pid` and `lastChange` are the new ones.
 * - Everything inherited is discarded before any listener runs.
 */
import process from "node:process";
import { guarded } from "./guarded.ts";
import { isBuildingSnapshot, onSnapshotStart } from "./snapshot.ts";
import { truePidOn } from "./true-pid.ts";
import { VmClock } from "./vm-clock.ts";

/**
 * Why a generation ended: the process was copied by fork(2), restored from a V8 start-up snapshot, cloned with its
 * whole machine, or the application said so.
 */
export type ProcessChangeCause = "fork" | "snapshot" | "clone" | "reported";

/** The moment a generation ended. */
export interface ProcessChange {
	readonly cause: ProcessChangeCause;
	/** The pid of the process that this one was copied from. */
	readonly previousPid: number;
	/** The pid of this process, as the kernel knows it. */
	readonly pid: number;
	readonly previousGeneration: number;
	readonly generation: number;
}

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

interface Registry {
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
const self: Pick<NodeJS.Process, "pid" | "ppid"> = Object.create(process);
const truth = truePidOn(process.platform);
/** Windows has no fork, and `process.ppid` takes a snapshot of all processes there. */
const watchesParent = process.platform !== "win32";
/** Where the truth costs a diagnostic report, the maintenance tick asks for it this often only. */
const COSTLY_TRUTH_INTERVAL_MILLIS = 30_000;
const VMCLOCK = "/dev/vmclock0";

const REGISTRY = Symbol.for("@forksafe/core/process-identity@1");
const shared = globalThis as { [REGISTRY]?: Registry };
const isFirstCopy = shared[REGISTRY] === undefined;
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
const registry: Registry = shared[REGISTRY];

/** Removes from the registry what was collected without saying goodbye. */
const collected = new FinalizationRegistry<WeakRef<ConnectionHolder>>((holder) => {
	registry.holders.delete(holder);
});

// In containers, the process that has built a snapshot and those that start from it often have one pid.
if (isFirstCopy) {
	onSnapshotStart(() => {
		registry.truthAskedAt = performance.now(); // it has begun anew
		if (registry.isToBeStarted) endGeneration("snapshot", truth.read());
		for (const holder of registry.holders) collectWith(holder);
	});
}

/**
 * Counts the identities that this heap has had: 0 at start, one more after every process change.
 *
 * Looks at the tripwire (`process.pid`, `process.ppid`; 0.3 us) and, when that has changed, asks for the true pid. If
 * the process is a copy, everything inherited is discarded before this returns.
 */
export function currentGeneration(): number {
	const { detector } = registry;
	const isSuspect = detector === undefined ? watchesParent && self.ppid !== registry.parentPid : detector.isCopy();
	if (isSuspect || self.pid !== registry.storedPid) askForTruth();
	return registry.generation;
}

/**
 * Looks by `detector` from now on, and no more at `process.ppid`. It is believed also where the pid is what it was: a child in
 * a PID namespace of its own can have that of its parent.
 */
export function useForkDetector(detector: ForkDetector): void {
	// What was copied before is noticed by what was there before.
	askForTruth();
	detector.reset();
	registry.detector = detector;
}

/** Watches another device than `/dev/vmclock0` for whether this machine was cloned. It is read on each maintenance tick. */
export function useVmClock(path: string): void {
	registry.vmClock = new VmClock(path);
}

/** The generation as last known: a read from memory, for those who do not look themselves. */
export function knownGeneration(): number {
	return registry.generation;
}

/** The true pid of this process, as of {@link knownGeneration}: `process.pid` of a forked child still names its parent. */
export function knownPid(): number {
	return registry.pid;
}

/** The change that began the current generation; undefined in generation 0. */
export function lastProcessChange(): ProcessChange | undefined {
	return registry.lastChange;
}

/**
 * To be called in the child, right after fork(2) **and** after `uv_loop_fork`: discards every inherited connection at
 * once, so that the child's event loop cannot steal one of the parent's answers. (Before `uv_loop_fork` the child still
 * shares the parent's epoll set, and closing a socket would take it out of that set.)
 *
 * It asks for the true pid. Called in the parent, or twice, it does nothing.
 *
 * @returns the change, or undefined when this process is no copy
 * @example
 * ```ts
 * if (fork() === 0) afterFork();
 * ```
 */
export function afterFork(): ProcessChange | undefined {
	return askForTruth();
}

/**
 * Says that this process has become another one, where forksafe cannot see it (a restored checkpoint or a cloned machine
 * keep the pid): ends the generation without asking anything, with the cause `reported`.
 *
 * @example
 * ```ts
 * lambda.onRestore(() => reportProcessChange());
 * ```
 */
export function reportProcessChange(): ProcessChange {
	return endGeneration("reported", truth.read());
}

/**
 * Calls `listener` once for each process change, after everything inherited was discarded. What it throws becomes a
 * process warning.
 *
 * @returns a function that removes the listener
 */
export function onProcessChange(listener: (change: ProcessChange) => void): () => void {
	const registered = (change: ProcessChange): void => listener(change);
	registry.listeners.add(registered);
	return () => void registry.listeners.delete(registered);
}

/**
 * The look of a maintenance tick, and before the server is asked about a connection. It does not trust the tripwire: after a
 * double fork whose middle process has gone, `process.ppid` can be what it was, and in a cloned machine everything is. Where
 * the truth is costly (macOS) it is asked for at most every 30 s.
 */
export function inspectProcess(): void {
	if (truth.isCheap || performance.now() - registry.truthAskedAt >= COSTLY_TRUTH_INTERVAL_MILLIS) askForTruth();
	else currentGeneration();
}

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

/** One of the things that a process change is noticed by. */
export interface ProcessSignal {
	readonly name: string;
	/** What it tells of. */
	readonly cause: Exclude<ProcessChangeCause, "reported">;
	readonly isAvailable: boolean;
	/** When it is looked at, or why it is not available. */
	readonly detail: string;
}

/** What a process change is noticed by, here and now: for a look at what can be relied on in this place. */
export function processSignals(): readonly ProcessSignal[] {
	const { detector, vmClock } = registry;
	const everyLook = "looked at on every acquire";
	return [
		{ name: "process.pid", cause: "snapshot", isAvailable: true, detail: everyLook },
		{
			name: "process.ppid",
			cause: "fork",
			isAvailable: watchesParent && detector === undefined,
			detail: watchesParent
				? detector === undefined
					? everyLook
					: "a detector is looked at in its place"
				: "Windows has no fork",
		},
		{
			name: "detector",
			cause: "fork",
			isAvailable: detector !== undefined,
			detail: detector === undefined ? "none was given: @forksafe/sentinel has one" : everyLook,
		},
		{
			name: "true pid",
			cause: "fork",
			isAvailable: watchesParent,
			detail: `${truth.source}, asked by ${truth.isCheap ? "every maintenance tick" : `a maintenance tick every ${COSTLY_TRUTH_INTERVAL_MILLIS} ms`}`,
		},
		{
			name: "vmclock",
			cause: "clone",
			isAvailable: vmClock.flaw === undefined,
			detail: `${vmClock.path}: ${vmClock.flaw ?? "read on every maintenance tick"}`,
		},
	];
}

/** In the order of their registration. */
export function connectionHolders(): readonly ConnectionHolder[] {
	return [...registry.holders].map((holder) => holder.deref()).filter((holder) => holder !== undefined);
}

/**
 * Not while a snapshot is built: V8 cannot write one with a finalization registry whose turn has come, and before it writes one
 * it collects its garbage.
 */
function collectWith(reference: WeakRef<ConnectionHolder>): void {
	const holder = reference.deref();
	if (holder === undefined) registry.holders.delete(reference);
	else collected.register(holder, reference, reference);
}

function askForTruth(): ProcessChange | undefined {
	const pid = truth.read();
	const wasRestored = self.pid !== registry.storedPid;
	const isCopy = pid !== registry.pid || isElsewhere() || registry.detector?.isCopy() === true;
	registry.truthAskedAt = performance.now();
	// A process whose parent has died gets another one. That is no fork: the pid is the same.
	resetTripwire();
	const wasCloned = registry.vmClock.hasChanged();
	if (wasRestored) return endGeneration("snapshot", pid);
	if (wasCloned) return endGeneration("clone", pid);
	return isCopy ? endGeneration("fork", pid) : undefined;
}

/** In another PID namespace than before: there, the pid of another process can be the same. */
function isElsewhere(): boolean {
	const namespace = truth.readNamespace();
	return namespace !== "" && registry.namespace !== "" && namespace !== registry.namespace;
}

function resetTripwire(): void {
	registry.storedPid = self.pid;
	if (watchesParent) registry.parentPid = self.ppid;
	registry.detector?.reset();
}

function endGeneration(cause: ProcessChangeCause, pid: number): ProcessChange {
	const change: ProcessChange = {
		cause,
		previousPid: registry.pid,
		pid,
		previousGeneration: registry.generation,
		generation: registry.generation + 1,
	};
	resetTripwire();
	registry.vmClock.reset();
	registry.isToBeStarted &&= cause !== "snapshot";
	registry.pid = pid;
	registry.namespace = truth.readNamespace();
	registry.generation = change.generation;
	registry.lastChange = change;

	const holders = connectionHolders();
	for (const holder of holders) guarded(() => holder.discardInherited(change));
	for (const holder of holders) guarded(() => holder.announce?.(change));
	for (const listener of Array.from(registry.listeners)) guarded(() => listener(change));
	return change;
}
