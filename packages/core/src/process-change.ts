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
