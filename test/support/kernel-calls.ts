/** What Linux can do to a process and Node has no call for. Bound on first use: other platforms can import this file too. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import { getSystemErrorName } from "node:util";

/**
 * Calls `fork` so that the child is the first process of a PID namespace of its own: its pid is 1, and that of its parent 0. Later
 * children of this process are again in the namespace of this process.
 *
 * @param fork returns 0 in the child, as `posixFork` does
 * @throws Error when the kernel does not allow it, see {@link reasonWithoutNamespaces}
 */
export function inNewPidNamespace(fork: () => number): number {
	const own = openSync("/proc/self/ns/pid", "r");
	must(kernel().unshare(CLONE_NEWPID), "unshare");
	const pid = fork();
	// As long as its children are to be elsewhere, a process can start no thread.
	if (pid > 0) must(kernel().setns(own, CLONE_NEWPID), "setns");
	closeSync(own);
	return pid;
}

/** Gives this process a /proc of its own PID namespace, that no other process sees: there, /proc/self is its pid in that namespace. */
export function mountOwnProc(): void {
	must(kernel().unshare(CLONE_NEWNS), "unshare");
	must(kernel().mount("none", "/", null, MS_REC | MS_PRIVATE, null), "mount");
	must(kernel().mount("proc", "/proc", "proc", 0, null), "mount /proc");
}

/** Why this process may not have namespaces of its own; undefined where it may. */
export function reasonWithoutNamespaces(): string | undefined {
	namespaces ??= spawnSync("unshare", ["--pid", "--fork", "--mount-proc", "true"], { timeout: 5_000, encoding: "utf8" });
	const { status, stderr, error } = namespaces;
	return status === 0 ? undefined : `namespaces need root on Linux (${(error?.message ?? stderr).trim()})`;
}

let namespaces: SpawnSyncReturns<string> | undefined;

/** Whether orphans among the descendants of this process become its children, instead of those of init. */
export function adoptOrphans(adopts: boolean): void {
	must(kernel().prctl(PR_SET_CHILD_SUBREAPER, adopts ? 1 : 0, 0, 0, 0), "prctl");
}

/** Becomes another program, with the same pid: what follows is not run. */
export function becomeProgram(path: string, ...args: string[]): never {
	kernel().execv(path, [path, ...args, null]);
	throw new Error(`execv ${path}: ${getSystemErrorName(-kernel().errno())}`);
}

/** Starts a program by posix_spawn(3). @returns its pid: it has to be waited for */
export function posixSpawn(path: string, ...args: string[]): number {
	const pid: [number] = [0];
	const code = kernel().posixSpawn(pid, path, null, null, [path, ...args, null], ["LC_ALL=C", null]);
	if (code !== 0) throw new Error(`posix_spawn ${path}: ${getSystemErrorName(-code)}`);
	return pid[0];
}

function must(status: number, what: string): void {
	if (status !== 0) throw new Error(`${what}: ${getSystemErrorName(-kernel().errno())}`);
}

const CLONE_NEWNS = 0x00020000;
const CLONE_NEWPID = 0x20000000;
const MS_REC = 16384;
const MS_PRIVATE = 1 << 18;
const PR_SET_CHILD_SUBREAPER = 36;

type Strings = readonly (string | null)[];

interface Kernel {
	errno(): number;
	unshare(flags: number): number;
	setns(file: number, kind: number): number;
	mount(source: string, target: string, type: string | null, flags: number, data: null): number;
	prctl(option: number, a: number, b: number, c: number, d: number): number;
	execv(path: string, args: Strings): number;
	posixSpawn(pid: [number], path: string, actions: null, attributes: null, args: Strings, environment: Strings): number;
}

let bound: Kernel | undefined;

function kernel(): Kernel {
	bound ??= bindKernel();
	return bound;
}

function bindKernel(): Kernel {
	const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
	const self = koffi.load(null);
	return {
		errno: () => koffi.errno(),
		unshare: self.func("int unshare(int)"),
		setns: self.func("int setns(int, int)"),
		mount: self.func("int mount(const char *, const char *, const char *, ulong, void *)"),
		prctl: self.func("int prctl(int, ulong, ulong, ulong, ulong)"),
		execv: self.func("int execv(const char *, const char **)"),
		posixSpawn: self.func("int posix_spawn(_Out_ int *, const char *, void *, void *, const char **, const char **)"),
	};
}
