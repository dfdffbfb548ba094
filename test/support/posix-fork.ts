import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";

/**
 * Copies this process with fork(2), and returns 0 in the child and the child's pid in the parent.
 *
 * Five things stand between Node and a child that lives:
 *
 * 1. V8 marks its heap MADV_DONTFORK, and a child without a heap dies at once. A seccomp filter turns every later
 *    `madvise(..., MADV_DONTFORK)` into a successful no-op, on all threads.
 * 2. Mappings that carry the mark already ("dc" in smaps) are relieved of it with MADV_DOFORK.
 * 3. The child has the forking thread only, so V8 must not wait for helpers: `--single-threaded`; from V8 14 on (Node 26) also
 *    `--minor-ms`: its scavenger tells a helper all the same, and glibc waits for one that was told before to have woken up.
 * 4. `uv_loop_fork` gives the child an epoll set of its own. Before it, closing a socket in the child takes that
 *    socket out of the parent's epoll set.
 * 5. The child ends by `_exit(2)` after its `exit` listeners: Node's own end joins, and waits for, threads that were
 *    not copied, and so hangs or dies of SIGSEGV.
 *
 * @param options.loopFork call `uv_loop_fork` in the child. @default true
 * @throws Error when this process cannot be forked, see {@link reasonNotForkable}.
 */
export function posixFork({ loopFork = true }: { loopFork?: boolean } = {}): number {
	makeForkable();
	const pid = libc().fork();
	if (pid < 0) throw systemError("fork");
	if (pid > 0) return pid;

	endWithoutTeardown();
	if (loopFork) {
		const status = libc().uvLoopFork(libc().uvDefaultLoop());
		if (status !== 0) throw new Error(`uv_loop_fork: ${getSystemErrorName(status)}`);
	}
	return 0;
}

/** The reason why no process of this platform can be forked, or undefined where it can. */
export function reasonWithoutForks(): string | undefined {
	if (process.platform !== "linux") return `real forks need Linux, and this is ${process.platform}`;
	if (!(process.arch in syscallNumbers)) return `real forks need x64 or arm64, and this is ${process.arch}`;
	return undefined;
}

/** The reason why {@link posixFork} cannot work in this process, or undefined where it can. */
export function reasonNotForkable(): string | undefined {
	const reason = reasonWithoutForks();
	if (reason !== undefined) return reason;
	const missing = forkableFlags.filter((flag) => !process.execArgv.includes(flag));
	return missing.length === 0 ? undefined : `real forks need node ${missing.join(" ")}`;
}

/** What Node has to be started with, for {@link posixFork}. */
export const forkableFlags: readonly string[] = [
	"--single-threaded",
	...(Number.parseInt(process.versions.v8, 10) >= 14 ? ["--minor-ms"] : []),
];

/** The true process id. `process.pid` is set at start-up: in a forked child it still names the parent. */
export function getpid(): number {
	return libc().getpid();
}

/** The true id of the parent process. */
export function getppid(): number {
	return libc().getppid();
}

/** Whether anything keeps the event loop alive. */
export function isLoopAlive(): boolean {
	return libc().uvLoopAlive(libc().uvDefaultLoop()) !== 0;
}

/** Sends a signal; 0 only asks whether the process is there. */
export function kill(pid: number, signal: NodeJS.Signals | 0): void {
	if (libc().kill(pid, signal === 0 ? 0 : constants.signals[signal]) !== 0) throw systemError(`kill ${pid}`);
}

/** How a process ended: by an exit code or by a signal. */
export interface WaitStatus {
	readonly pid: number;
	readonly exitCode: number | undefined;
	readonly signal: NodeJS.Signals | undefined;
}

/**
 * Waits for a child to end, and reaps it. It blocks the event loop, unless `noHang` is set: then a child that is still
 * running gives undefined.
 */
export function waitpid(pid: number): WaitStatus;
export function waitpid(pid: number, options: { noHang: boolean }): WaitStatus | undefined;
export function waitpid(pid: number, { noHang = false } = {}): WaitStatus | undefined {
	const status: [number] = [0];
	const reaped = libc().waitpid(pid, status, noHang ? WNOHANG : 0);
	if (reaped < 0) throw systemError(`waitpid ${pid}`);
	return reaped === 0 ? undefined : decodeStatus(reaped, status[0]);
}

function decodeStatus(pid: number, status: number): WaitStatus {
	const signal = status & 0x7f;
	return {
		pid,
		exitCode: signal === 0 ? (status >> 8) & 0xff : undefined,
		signal: signal === 0 ? undefined : signalName(signal),
	};
}

function signalName(number: number): NodeJS.Signals {
	const found = Object.entries(constants.signals).find(([, value]) => value === number);
	return (found?.[0] ?? `SIG${number}`) as NodeJS.Signals;
}

const WNOHANG = 1;
const MADV_DONTFORK = 10;
const MADV_DOFORK = 11;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const SECCOMP_RET_ERRNO_0 = 0x00050000;
const SECCOMP_RET_ALLOW = 0x7fff0000;
const syscallNumbers: Record<string, { madvise: number; seccomp: number }> = {
	x64: { madvise: 28, seccomp: 317 },
	arm64: { madvise: 233, seccomp: 277 },
};

let forkable = false;

function makeForkable(): void {
	if (forkable) return;
	const reason = reasonNotForkable();
	if (reason !== undefined) throw new Error(reason);
	ignoreFutureDontFork();
	// Reading smaps allocates, and garbage is collected: what a pass has read can be gone, and be back elsewhere.
	while (undoDontFork() > 0);
	forkable = true;
}

function ignoreFutureDontFork(): void {
	const numbers = syscallNumbers[process.arch];
	if (!numbers) throw new Error(`no system call numbers for ${process.arch}`);
	const filter = Buffer.concat([
		bpf(0x20, 0, 0, 0), // load the system call's number
		bpf(0x15, 0, 3, numbers.madvise), // not madvise: allow
		bpf(0x20, 0, 0, 32), // load args[2], the advice
		bpf(0x15, 0, 1, MADV_DONTFORK), // another advice: allow
		bpf(0x06, 0, 0, SECCOMP_RET_ERRNO_0), // "succeeded", nothing done
		bpf(0x06, 0, 0, SECCOMP_RET_ALLOW),
	]);
	if (libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw systemError("prctl");
	const program = { len: filter.length / 8, filter };
	if (libc().seccomp(numbers.seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program) !== 0) {
		throw systemError("seccomp");
	}
}

function bpf(code: number, jumpTrue: number, jumpFalse: number, k: number): Buffer {
	const instruction = Buffer.alloc(8);
	instruction.writeUInt16LE(code, 0);
	instruction.writeUInt8(jumpTrue, 2);
	instruction.writeUInt8(jumpFalse, 3);
	instruction.writeUInt32LE(k, 4);
	return instruction;
}

function undoDontFork(): number {
	let undone = 0;
	let from = 0n;
	let to = 0n;
	for (const line of readFileSync("/proc/self/smaps", "latin1").split("\n")) {
		const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
		if (range) {
			from = BigInt(`0x${range[1]}`);
			to = BigInt(`0x${range[2]}`);
		} else if (/^VmFlags:.*\bdc\b/.test(line)) {
			// ENOMEM: a part of it is not mapped any more. The rest was done.
			if (libc().madvise(from, to - from, MADV_DOFORK) !== 0 && libc().errno() !== constants.errno.ENOMEM) {
				throw systemError("madvise");
			}
			undone++;
		}
	}
	return undone;
}

/** Both `process.exit()` and an event loop that has run empty come by `process.emit("exit")`, last of all JavaScript. */
function endWithoutTeardown(): void {
	const emit = process.emit.bind(process) as (event: string, ...args: unknown[]) => boolean;
	process.emit = ((event: string, ...args: unknown[]) => {
		const heard = emit(event, ...args);
		if (event === "exit") libc()._exit(Number(process.exitCode ?? args[0] ?? 0));
		return heard;
	}) as typeof process.emit;
}

interface Libc {
	errno(): number;
	fork(): number;
	getpid(): number;
	getppid(): number;
	kill(pid: number, signal: number): number;
	waitpid(pid: number, status: [number], options: number): number;
	_exit(code: number): void;
	madvise(address: bigint, length: bigint, advice: number): number;
	prctl(option: number, a: number, b: number, c: number, d: number): number;
	seccomp(number: number, operation: number, flags: number, program: { len: number; filter: Buffer }): number;
	uvDefaultLoop(): unknown;
	uvLoopAlive(loop: unknown): number;
	uvLoopFork(loop: unknown): number;
}

let bound: Libc | undefined;

/** Loaded and bound on first use: platforms without it can import this file too, and ask {@link reasonWithoutForks}. */
function libc(): Libc {
	bound ??= bindLibc();
	return bound;
}

function bindLibc(): Libc {
	const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
	const self = koffi.load(null);
	const program = koffi.struct({ len: "ushort", filter: "void*" });
	return {
		errno: () => koffi.errno(),
		fork: self.func("int fork()"),
		getpid: self.func("int getpid()"),
		getppid: self.func("int getppid()"),
		kill: self.func("int kill(int, int)"),
		waitpid: self.func("int waitpid(int, _Out_ int*, int)"),
		_exit: self.func("void _exit(int)"),
		madvise: self.func("int madvise(uintptr_t, size_t, int)"),
		prctl: self.func("int prctl(int, ulong, ulong, ulong, ulong)"),
		seccomp: self.func("syscall", "long", ["long", "int", "uint", koffi.pointer(program)]),
		uvDefaultLoop: self.func("void* uv_default_loop()"),
		uvLoopAlive: self.func("int uv_loop_alive(void*)"),
		uvLoopFork: self.func("int uv_loop_fork(void*)"),
	};
}

function systemError(what: string): Error {
	const code = getSystemErrorName(-libc().errno());
	return Object.assign(new Error(`${what}: ${code}`), { code });
}
