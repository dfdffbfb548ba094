/** What tells which process this is, and pools that ask it. Each is opened in a process of its own. */
import { closeSync, mkdtempSync, openSync, readlinkSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { ProcessWatch } from "@forksafe/core";
import { installSentinel } from "./built-packages.ts";
import { openForksafe, openSubject, type Subject } from "./pool-subjects.ts";

/** Something that is done over and over. */
export type Operation = () => unknown;

const WITH_SENTINEL = ", with the sentinel";
/** `/dev/vmclock0` is a page that is read. */
const CLOCK_LENGTH = 4_096;

export const signals = {
	"a variable": async () => {
		const value = process.pid;
		return () => value;
	},
	"process.pid": async () => () => process.pid,
	"process.ppid": async () => () => process.ppid,
	"process.ppid, through a prototype": async () => {
		const self: Pick<NodeJS.Process, "ppid"> = Object.create(process);
		return () => self.ppid;
	},
	"the sentinel's page": openPage,
	"currentGeneration()": openCore,
	"currentGeneration(), with the sentinel": async () => {
		await installSentinel();
		return openCore();
	},
	'readlink("/proc/self")': async () => () => readlinkSync("/proc/self"),
	"a page of a file: open, read, close": openFile,
	"process.report.getReport()": async () => {
		(process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
		return () => process.report.getReport();
	},
} as const satisfies Record<string, () => Promise<Operation>>;

/** By what is measured. `once` is cheap from its first change on. */
export const pools = {
	"array stack, queue, one promise": () => openSubject("array stack, queue, one promise"),
	...poolsOf(""),
	...poolsOf(WITH_SENTINEL),
} as const satisfies Record<string, () => Promise<Subject>>;

type PoolName<Suffix extends string> = `${"always" | "once, before its change" | "once, after its change" | "off"}${Suffix}`;

function poolsOf<Suffix extends "" | typeof WITH_SENTINEL>(suffix: Suffix): Record<PoolName<Suffix>, () => Promise<Subject>> {
	const open = async (processWatch: ProcessWatch, isChanged: boolean): Promise<Subject> => {
		if (suffix !== "") await installSentinel();
		const pool = await openForksafe({ processWatch });
		pool.release(await pool.acquire());
		if (isChanged) {
			const { reportProcessChange } = await import("@forksafe/core");
			reportProcessChange();
		}
		return pool;
	};
	return {
		[`always${suffix}`]: () => open("always", false),
		[`once, before its change${suffix}`]: () => open("once", false),
		[`once, after its change${suffix}`]: () => open("once", true),
		[`off${suffix}`]: () => open("off", false),
	} as Record<PoolName<Suffix>, () => Promise<Subject>>;
}

async function openCore(): Promise<Operation> {
	const { currentGeneration } = await import("@forksafe/core");
	return currentGeneration;
}

async function openPage(): Promise<Operation> {
	// The package does not export it.
	const built = new URL("../../packages/sentinel/dist/wiped-page.js", import.meta.url);
	const { mapWipedPage } = (await import(built.href)) as typeof import("../../packages/sentinel/src/wiped-page.ts");
	return mapWipedPage().isWiped;
}

async function openFile(): Promise<Operation> {
	const directory = mkdtempSync(join(tmpdir(), "forksafe-bench-"));
	process.once("exit", () => rmSync(directory, { recursive: true }));
	const file = join(directory, "page");
	const page = Buffer.alloc(CLOCK_LENGTH);
	writeFileSync(file, page);
	return () => {
		const descriptor = openSync(file, "r");
		readSync(descriptor, page, 0, page.length, 0);
		closeSync(descriptor);
		return page[0];
	};
}
