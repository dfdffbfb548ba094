import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import process from "node:process";
import { afterFork } from "@forksafe/core";

/**
 * Lets a test pretend that this process is another one, seen from below: what the kernel would answer is changed, and
 * nobody is told. `process.ppid` is restored to its value; that it was read live before cannot be restored.
 */
export class FakeProcess {
	readonly #readlinkSync = fs.readlinkSync;
	readonly #getReport = process.report.getReport;
	readonly #parentPid = process.ppid;
	/** How often the true pid was asked for. */
	asked = 0;
	#namespace: string | undefined;

	/** The process is a child that nobody has told so: the kernel knows it by another pid, and its parent is who it was. */
	fork(pid: number, parentPid: number): void {
		this.setPid(pid);
		this.setParent(parentPid);
	}

	/** The kernel knows the process by this pid; `process.pid` does not change, as in a real child. */
	setPid(pid: number): void {
		const count = (): void => void this.asked++;
		const readlinkSync = this.#readlinkSync;
		fs.readlinkSync = ((path: fs.PathLike, ...rest: []) => {
			if (path === "/proc/self/ns/pid" && this.#namespace !== undefined) return this.#readNamespace(this.#namespace);
			if (path !== "/proc/self") return readlinkSync(path, ...rest);
			count();
			return String(pid);
		}) as typeof fs.readlinkSync;
		process.report.getReport = () => {
			count();
			return { header: { processId: pid } };
		};
		syncBuiltinESMExports();
	}

	/** The PID namespace that this process is in by what the kernel says; empty when it does not say. To be followed by {@link FakeProcess.setPid}. */
	setNamespace(name: string): void {
		this.#namespace = name;
	}

	/** Who started this process: changed by a fork, and when a parent dies. */
	setParent(parentPid: number): void {
		Object.defineProperty(process, "ppid", { get: () => parentPid, configurable: true, enumerable: true });
	}

	/** This process is itself again, and the registry knows it. */
	restore(): void {
		this.#namespace = undefined;
		fs.readlinkSync = this.#readlinkSync;
		process.report.getReport = this.#getReport;
		syncBuiltinESMExports();
		this.setParent(this.#parentPid);
		afterFork();
		this.asked = 0;
	}

	#readNamespace(name: string): string {
		if (name === "") throw new Error("no /proc");
		return name;
	}
}

/** Forgets every connection of this process, as a forked child does; and is itself again. */
export function forgetConnections(): void {
	const fake = new FakeProcess();
	fake.fork(4_000_000, 3_999_999);
	afterFork();
	fake.restore();
}
