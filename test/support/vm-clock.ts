import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a vmclock device says. */
export interface VmClockFields {
	magic?: number;
	size?: number;
	version?: number;
	sequence?: number;
	flags?: bigint;
	generation?: bigint;
}

/** A file with what a hypervisor writes into /dev/vmclock0, for tests to write themselves. */
export class FakeVmClock {
	readonly #directory = mkdtempSync(join(tmpdir(), "forksafe-vmclock-"));
	readonly path: string = join(this.#directory, "vmclock0");

	constructor(fields: VmClockFields = {}) {
		this.write(fields);
	}

	write({ magic = 0x4b4c4356, size = 4_096, version = 1, sequence = 0, flags = 0x100n, generation = 0n }: VmClockFields): void {
		const page = new DataView(new ArrayBuffer(4_096));
		page.setUint32(0, magic, true);
		page.setUint32(4, size, true);
		page.setUint16(8, version, true);
		page.setUint32(12, sequence, true);
		page.setBigUint64(24, flags, true);
		page.setBigUint64(104, generation, true);
		writeFileSync(this.path, page);
	}

	remove(): void {
		rmSync(this.#directory, { recursive: true, force: true });
	}
}
