import { readlinkSync } from "node:fs";
import process from "node:process";

/** How the pid that the kernel knows this process by is found out. */
export interface TruePid {
	/** Asks the operating system, every time. */
	read(): number;
	/** What is asked. */
	readonly source: string;
	/**
	 * Names the PID namespace that the pid counts in, where that can be told: a child in one of its own can have its parent's pid.
	 * Empty where it cannot.
	 */
	readNamespace(): string;
	/** Whether `read` takes microseconds (a system call) and not milliseconds (a diagnostic report). */
	readonly isCheap: boolean;
}

/**
 * The way to the true pid on a platform.
 *
 * `process.pid` cannot be asked: Node stores it at start-up, so that in a forked child it still names the parent.
 * It is the truth only on Windows, which has no fork.
 */
export function truePidOn(platform: NodeJS.Platform): TruePid {
	switch (platform) {
		case "win32":
			return { read: () => process.pid, readNamespace: () => "", source: "process.pid", isCheap: true };
		case "linux":
			return {
				read: readFromProc,
				readNamespace: readNamespaceFromProc,
				source: "/proc/self and its PID namespace",
				isCheap: true,
			};
		default:
			return { read: readFromReport, readNamespace: () => "", source: "process.report", isCheap: false };
	}
}

function readFromProc(): number {
	try {
		const pid = Number(readlinkSync("/proc/self"));
		if (Number.isInteger(pid) && pid > 0) return pid;
	} catch {
		// no /proc in this container
	}
	return readFromReport();
}

/** The kernel's number for it, the same from whichever /proc one looks. A process never changes its own. */
function readNamespaceFromProc(): string {
	try {
		return readlinkSync("/proc/self/ns/pid");
	} catch {
		return "";
	}
}

/** 5 to 20 ms: the report is the only source in Node's own API that asks the kernel anew on every platform. */
function readFromReport(): number {
	const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean };
	const { excludeNetwork } = report;
	report.excludeNetwork = true; // resolving every peer's name can take seconds
	try {
		const { header } = report.getReport() as unknown as { header: { processId: number } };
		return header.processId;
	} finally {
		report.excludeNetwork = excludeNetwork;
	}
}
