/**
 * Which process is this? The one place where a copied process is noticed.
 *
 * - `pid` is always a true pid, read from the kernel; `process.pid` is compared with itself only.
 * - A generation ends exactly once. By the time anybody is told, `generation`, `pid` and `lastChange` are the new ones.
 * - Everything inherited is discarded before any listener runs.
 */
import { guarded } from "./guarded.ts";
import type { ProcessChange, ProcessChangeCause } from "./process-change.ts";
import {
	COSTLY_TRUTH_INTERVAL_MILLIS,
	collectWith,
	connectionHolders,
	type ForkDetector,
	isFirstCopy,
	registry,
	self,
	truth,
	watchesParent,
} from "./process-registry.ts";
import { onSnapshotStart } from "./snapshot.ts";
import { VmClock } from "./vm-clock.ts";

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
