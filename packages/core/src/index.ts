export type { Clock, Timer } from "./clock.ts";
export { discardStream } from "./discard-stream.ts";
export type { Driver } from "./driver.ts";
export {
	type AcquirePhase,
	AcquireTimeoutError,
	ConnectError,
	ForkSafeError,
	type ForkSafeErrorCode,
	InheritedConnectionError,
	OptionError,
	PoolClosedError,
	type PoolCounts,
	PoolSuspendedError,
	ProcessChangedError,
	QueueFullError,
	ReleaseError,
	ResumedError,
	withoutStack,
} from "./errors.ts";
export { hideWhenPrinted } from "./hide-when-printed.ts";
export { type Leak, stackAbove } from "./leak-watch.ts";
export { Lease } from "./lease.ts";
export { isNetworkError } from "./network-errors.ts";
export {
	checkDuration,
	defaultPoolOptions,
	type PoolOptions,
	type ProcessWatch,
	type ResolvedPoolOptions,
	rejectUnknownOptions,
} from "./options.ts";
export { Ownership } from "./ownership.ts";
export type { Permits } from "./permits.ts";
export { Pool } from "./pool.ts";
export type {
	AcquireOptions,
	AcquireRequest,
	DrainOptions,
	PoolEvents,
	PoolState,
	PoolStats,
	ReleaseOptions,
} from "./pool-interface.ts";
export type { ProcessChange, ProcessChangeCause } from "./process-change.ts";
export {
	afterFork,
	currentGeneration,
	knownGeneration,
	knownPid,
	lastProcessChange,
	onProcessChange,
	reportProcessChange,
	useForkDetector,
	useVmClock,
} from "./process-identity.ts";
export { type ConnectionHolder, type ForkDetector, registerHolder, type SuspendOptions } from "./process-registry.ts";
export { type ProcessSignal, processSignals } from "./process-signals.ts";
export { isBuildingSnapshot } from "./snapshot.ts";
export { guardStream } from "./stream-guard.ts";
export { resumeAll, suspendAll } from "./suspend-all.ts";
export { type Queued, WaitQueue } from "./wait-queue.ts";
