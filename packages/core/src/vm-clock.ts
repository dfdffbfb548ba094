import { closeSync, openSync, readSync } from "node:fs";

/** Linux's include/uapi/linux/vmclock-abi.h: all numbers are little endian. */
const MAGIC = 0x4b4c4356;
const VERSION = 1;
const OFFSET = { magic: 0, size: 4, version: 8, sequence: 12, flags: 24, generation: 104 } as const;
const LENGTH = OFFSET.generation + 8;
const HAS_GENERATION = 1n << 8n;
/** The kernel's own read waits until an update is over; a device of another kind may be met in the middle of one. */
const MOST_READS = 10;

/**
 * How often this machine was started from a saved state, as the hypervisor counts it: a cloned machine, unlike a cloned process,
 * has the same pids as the original.
 */
export class VmClock {
	readonly path: string;
	#generation: bigint | undefined;
	#flaw: string | undefined;
	/** A device does not come while the machine runs. */
	#isAbsent = false;

	constructor(path: string) {
		this.path = path;
		this.reset();
	}

	/** Why nothing can be told from it; undefined as long as it can. */
	get flaw(): string | undefined {
		return this.#flaw;
	}

	/**
	 * Whether this machine is another one than at the last call. What cannot be read, or is no such device, says nothing, and
	 * what it said before is what counts when it can be read again.
	 */
	hasChanged(): boolean {
		if (this.#isAbsent) return false;
		const before = this.#generation;
		const now = this.#read();
		if (now === undefined) return false;
		this.#generation = now;
		return before !== undefined && before !== now;
	}

	/** This machine is the original from now on. */
	reset(): void {
		this.#isAbsent = false;
		this.#generation = this.#read();
	}

	#read(): bigint | undefined {
		try {
			const bytes = readWhole(this.path);
			this.#flaw = typeof bytes === "string" ? bytes : flawOf(bytes);
			return typeof bytes === "string" || this.#flaw !== undefined ? undefined : bytes.getBigUint64(OFFSET.generation, true);
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			this.#isAbsent = code === "ENOENT";
			this.#flaw = this.#isAbsent ? "there is no such device" : `it cannot be read (${code})`;
			return undefined;
		}
	}
}

/** @returns the device's page as it was at one moment, or why there is none */
function readWhole(path: string): DataView | string {
	// Opened each time: a descriptor that is kept would be another file's after a start-up snapshot.
	const device = openSync(path, "r");
	try {
		let before = read(device);
		for (let reads = 1; reads < MOST_READS; reads++) {
			const after = read(device);
			if (before === undefined || after === undefined) return `it is shorter than ${LENGTH} bytes`;
			const sequence = after.getUint32(OFFSET.sequence, true);
			if (sequence % 2 === 0 && sequence === before.getUint32(OFFSET.sequence, true)) return after;
			before = after;
		}
		return "it is always being updated";
	} finally {
		closeSync(device);
	}
}

function read(device: number): DataView | undefined {
	const bytes = new DataView(new ArrayBuffer(LENGTH));
	return readSync(device, bytes, 0, LENGTH, 0) === LENGTH ? bytes : undefined;
}

function flawOf(bytes: DataView): string | undefined {
	if (bytes.getUint32(OFFSET.magic, true) !== MAGIC) return "it is no vmclock";
	const version = bytes.getUint16(OFFSET.version, true);
	if (version !== VERSION) return `its version is ${version}, and ${VERSION} is known`;
	const hasGeneration =
		bytes.getUint32(OFFSET.size, true) >= LENGTH && (bytes.getBigUint64(OFFSET.flags, true) & HAS_GENERATION) !== 0n;
	return hasGeneration ? undefined : "the hypervisor does not tell by it when a saved machine is started (vm_generation_counter)";
}
