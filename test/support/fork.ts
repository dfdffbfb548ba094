import { AsyncLocalStorage } from "node:async_hooks";
import { inNewPidNamespace } from "./kernel-calls.ts";
import { fromWire, type Outcome, OutcomeFile, toWire } from "./outcome.ts";
import { getpid, isLoopAlive, kill, posixFork, type WaitStatus, waitpid } from "./posix-fork.ts";
import { childName, nameProcess, reportOutcome } from "./report.ts";
import { forgetWaits, untilTrue } from "./until-true.ts";

/** A forked child, as its parent sees it. */
export interface Child<T> {
	readonly pid: number;
	/** The name given; that of a child's child is `"parent/child"`. */
	readonly name: string;
	/**
	 * What the body returned, once the child has gone. Rejects with the body's error, or with {@link ChildFailure}. It may
	 * be left alone: a failure reaches the runner as a report all the same.
	 */
	readonly result: Promise<T>;
	/** How the child ended. Never rejects for the way in which it did. */
	readonly exited: Promise<Exit>;
}

/** How a process ended: by an exit code or by a signal. */
export interface Exit {
	readonly code: number | undefined;
	readonly signal: NodeJS.Signals | undefined;
}

/** How a child is to end when its body has. */
export type ExitMode =
	/** `process.exit()` */
	| "process.exit"
	/** When nothing keeps its event loop alive. */
	| "run-dry"
	/** By a SIGKILL that it sends itself. */
	| "signal"
	/** Some other way, at any time: the result is undefined where none was given. */
	| "none-of-ours";

/** Options of {@link forkChild}. */
export interface ForkOptions {
	/** @default "process.exit" */
	readonly exit?: ExitMode;
	/** From the fork to the end of the child, which is then killed. @default 10000 */
	readonly deadlineMillis?: number;
	/** Call `uv_loop_fork` in the child, see {@link posixFork}. @default true */
	readonly loopFork?: boolean;
	/** Make the child the first process of a PID namespace of its own. Needs root. @default false */
	readonly newPidNamespace?: boolean;
}

/** A child that did not end as it should. */
export class ChildFailure extends Error {
	override readonly name = "ChildFailure";
	readonly code: "ERR_CHILD_HUNG" | "ERR_CHILD_CRASHED";

	constructor(code: ChildFailure["code"], message: string) {
		super(message);
		this.code = code;
	}
}

/**
 * Forks this process. The fork is done before this returns; in the child the body is called in the same turn, before
 * any other callback or microtask runs, and the promise never settles: nothing after `await forkChild(...)` runs there.
 *
 * @param body returns what JSON can hold; it and everything that it calls runs in the child.
 * @throws Error when this process cannot be forked.
 *
 * @example
 * const child = await forkChild("child", async () => (await pool.query("select 1")).rows);
 * const rows = await child.result;
 */
export function forkChild<T>(
	name: string,
	body: () => T | Promise<T>,
	{ exit = "process.exit", deadlineMillis = 10_000, loopFork = true, newPidNamespace = false }: ForkOptions = {},
): Promise<Child<T>> {
	// The stack and the callbacks that the child inherits go on in it until they come to an await, or here.
	if ((owner.getStore() ?? program) !== self) return never();

	const signature = childName(name);
	const file = new OutcomeFile();
	const fork = (): number => posixFork({ loopFork });
	const pid = newPidNamespace ? inNewPidNamespace(fork) : fork();
	if (pid > 0) return Promise.resolve(follow<T>({ pid, name: signature, file, exit, deadlineMillis }));

	self = Symbol(signature);
	nameProcess(signature);
	forgetWaits();
	owner.run(self, () => void live(body, file, exit));
	return never();
}

/** The process that a call comes from, by the async context it was started in ... */
const owner = new AsyncLocalStorage<symbol>();
const program = Symbol("program");
/** ... and the process that this is. They differ for what a child does only because its parent was about to. */
let self = program;

function never(): Promise<never> {
	return new Promise(() => {});
}

async function live(body: () => unknown, file: OutcomeFile, exit: ExitMode): Promise<void> {
	process.on("uncaughtExceptionMonitor", (error) => {
		if (process.listenerCount("uncaughtException") > 0) return;
		// Node prints it after the exit listeners, and there the child ends.
		console.error(error);
		deliver({ error: toWire(error) }, file);
	});
	process.exitCode = await run(body, file);
	if (exit === "process.exit") process.exit();
	if (exit === "signal") kill(getpid(), "SIGKILL");
	if (exit === "run-dry") exitWhenDry();
}

/**
 * Ends the child as soon as nothing keeps its event loop alive. Left to itself, Node would wait for the work of threads
 * that were not copied (seen with Node 26), and take the top-level await that the parent is in for a mistake.
 */
function exitWhenDry(): void {
	const look = (): void => {
		watch.unref();
		if (isLoopAlive()) watch.ref();
		else process.exit();
	};
	// Not in the timer's own turn, in which libuv counts no timer of Node as alive.
	const watch = setInterval(() => setImmediate(look).unref(), 10);
}

async function run(body: () => unknown, file: OutcomeFile): Promise<number> {
	try {
		deliver({ value: await body() }, file);
		return 0;
	} catch (thrown) {
		deliver({ error: toWire(thrown) }, file);
		return 1;
	}
}

function deliver(outcome: Outcome, file: OutcomeFile): void {
	if (file.write(outcome)) reportOutcome(outcome);
}

interface Followed {
	readonly pid: number;
	readonly name: string;
	readonly file: OutcomeFile;
	readonly exit: ExitMode;
	readonly deadlineMillis: number;
}

function follow<T>(child: Followed): Child<T> {
	const { pid, name } = child;
	const end = reap(child);
	const result = end.then((ended) => settle<T>(child, ended));
	result.catch((error: unknown) => {
		if (error instanceof ChildFailure) reportOutcome({ error: toWire(error) }, { name, pid });
	});
	return {
		pid,
		name,
		result,
		exited: end.then(({ exitCode, signal }) => ({ code: exitCode, signal })),
	};
}

interface End extends WaitStatus {
	readonly hung: boolean;
}

async function reap({ pid, deadlineMillis }: Followed): Promise<End> {
	let status: WaitStatus | undefined;
	const gone = () => {
		status ??= waitpid(pid, { noHang: true });
		return status !== undefined;
	};
	await untilTrue(gone, { what: "the child has ended", deadlineMillis }).catch(() => {});
	if (status) return { ...status, hung: false };
	kill(pid, "SIGKILL");
	return { ...waitpid(pid), hung: true };
}

function settle<T>({ name, pid, file, exit, deadlineMillis }: Followed, end: End): T {
	const outcome = file.take();
	const child = `child "${name}" (pid ${pid})`;
	if (end.hung) {
		const where = outcome ? `its body had ended, but the child not (${exit})` : "its body had not ended";
		throw new ChildFailure("ERR_CHILD_HUNG", `${child} hung: after ${deadlineMillis} ms ${where}; killed`);
	}
	if (outcome && "error" in outcome) throw fromWire(outcome.error);

	const asAsked = exit === "none-of-ours" || (exit === "signal" ? end.signal === "SIGKILL" : end.exitCode === 0);
	if (!asAsked || (!outcome && exit !== "none-of-ours")) {
		const how = end.signal ? `died of ${end.signal}` : `exited with code ${end.exitCode}`;
		throw new ChildFailure("ERR_CHILD_CRASHED", `${child} ${how} ${outcome ? "after" : "before"} its body had ended`);
	}
	return outcome?.value as T;
}
