/** Forks that are hard to notice, or that come at an awkward moment. Every face goes through them. */

import { spawn } from "node:child_process";
import { readdirSync, readlinkSync, realpathSync } from "node:fs";
import type { NetConnectOpts } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { forkChild } from "../support/fork.ts";
import { adoptOrphans, becomeProgram, mountOwnProc, posixSpawn, reasonWithoutNamespaces } from "../support/kernel-calls.ts";
import { getpid, getppid, kill, waitpid } from "../support/posix-fork.ts";
import { untilTrue } from "../support/until-true.ts";
import {
	type Context,
	expectRefused,
	expectTraces,
	expectUnharmed,
	outcome,
	PROCESS_CHANGED,
	rethrow,
	type Scenario,
	soon,
	talk,
	unique,
	warm,
} from "./scenario.ts";

const holdingProxy = new URL("../programs/holding-proxy.ts", import.meta.url);
/** A program of every Linux, that does nothing for long enough. */
const SLEEP = "/bin/sleep";

export const hardForks: readonly Scenario[] = [
	{
		name: "twice, with the process in the middle gone and the same parent as before: the grandchild starts afresh",
		contract: [1, 2, 12],
		async run(context) {
			const done = context.flag();
			// An orphan of this process's descendants gets this process for a parent: that of its own parent's parent.
			adoptOrphans(true);
			const parent = await forkChild("parent", async () => {
				const watched = watch(context);
				const backends = await warm(watched.subject, 3);
				const parentOfParent = getppid();
				const middle = await forkChild("middle", async () => {
					const grandchild = await forkChild("grandchild", async () => {
						context.callHook();
						await untilTrue(() => getppid() === parentOfParent, { what: "the grandchild has the parent of its parent" });
						await watched.noticed();
						await talk(watched.subject, "the grandchild");
						for (const backend of await warm(watched.subject, 3)) expect(backends.has(backend)).to.equal(false);
						done.raise();
					});
					return grandchild.pid;
				});
				const grandchild = await middle.result;
				await watched.noticedBy(done);
				await talk(watched.subject, "the parent", 200);
				await done.raised();
				await expectUnharmed(context, watched.subject, backends, 1);
				return grandchild;
			});
			const grandchild = await parent.result;
			adoptOrphans(false);
			await untilTrue(() => waitpid(grandchild, { noHang: true }) !== undefined, { what: "the grandchild has ended" });
		},
	},
	...[false, true].map(
		(hasOwnProc): Scenario => ({
			name: `into a PID namespace of its own, where it has the pid and the ppid of its parent, ${hasOwnProc ? "and a /proc of its own" : "with the /proc of its parent"}: both go on`,
			contract: [1, 2, 12],
			notHere: reasonWithoutNamespaces,
			async run(context) {
				const done = context.flag();
				const newPidNamespace = { newPidNamespace: true };
				const inside = async (body: () => Promise<void>): Promise<void> => {
					if (hasOwnProc) mountOwnProc();
					expect([getpid(), getppid()], "pid and ppid").to.deep.equal([1, 0]);
					await body();
				};
				const asParent = async (): Promise<void> => {
					const watched = watch(context);
					const backends = await warm(watched.subject, 3);
					const asChild = async (): Promise<void> => {
						await watched.noticed();
						await talk(watched.subject, "the child");
						for (const backend of await warm(watched.subject, 3)) expect(backends.has(backend)).to.equal(false);
						done.raise();
					};
					const child = await forkChild("child", () => inside(asChild), newPidNamespace);
					await watched.noticedBy(done);
					await talk(watched.subject, "the parent", 200);
					await child.result;
					await expectUnharmed(context, watched.subject, backends, 1);
				};
				const parent = await forkChild("parent", () => inside(asParent), newPidNamespace);
				await parent.result;
			},
		}),
	),
	{
		name: "after which the child uses the pool and becomes another program: nothing of either leaks into it",
		contract: [1, 7, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const ofChild = context.flag();
			const child = await context.fork(
				"child",
				async () => {
					await talk(subject, "the child");
					ofChild.raise([...(await warm(subject, 3))].join());
					becomeProgram(SLEEP, "60");
				},
				{ exit: "none-of-ours" },
			);
			await talk(subject, "the parent", 200);
			const gone = (await ofChild.raised()).split(",");
			await expectNoSockets(child.pid);
			const haveEnded = async (): Promise<boolean> => {
				const sessions = await context.face.server.sessions(context.url);
				return !gone.some((backend) => sessions.has(backend));
			};
			await untilTrue(haveEnded, { what: "the sessions of the child have ended" });
			kill(child.pid, "SIGKILL");
			await child.exited;
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "whose child becomes another program at once, by execve and by posix_spawn: it holds no socket of the parent",
		contract: [7, 12],
		hooks: [false],
		harmless: "Node opens every socket with CLOEXEC",
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const child = await forkChild("child", () => becomeProgram(SLEEP, "60"), { exit: "none-of-ours" });
			const spawned = posixSpawn(SLEEP, "60");
			for (const pid of [child.pid, spawned]) {
				await expectNoSockets(pid);
				kill(pid, "SIGKILL");
			}
			waitpid(spawned);
			await child.exited;
			await expectUnharmed(context, subject, backends);
		},
	},
	...[1, 60].map(
		(bytes): Scenario => ({
			name: `while connections are being opened, after byte ${bytes} of the server's answer: the parent gets them, the child opens its own`,
			contract: [1, 2, 4, 12],
			async run(context) {
				const { url, held, released } = await holdAfter(bytes, context);
				const refused = context.flag();
				const subject = context.open({ url });
				const key = unique("held");
				const waiting = [subject.insert(key), subject.echo("one"), subject.echo("two")].map((query) => outcome<unknown>(query));
				await held.raised();
				const child = await context.fork("child", async () => {
					const own = outcome(talk(subject, "the child"));
					const refusals = Promise.all(waiting.map((query) => expectRefused(rethrow(query), PROCESS_CHANGED)));
					// An unprotected pool refuses nothing: both processes wait for the same bytes.
					if (context.face.isProtected) await refusals;
					refused.raise();
					expect(await soon(own, "the answers of the child", 8_000)).to.deep.equal({ value: undefined });
					await refusals;
				});
				await refused.raised();
				released.raise();
				for (const query of waiting) expect(await soon(query, "the answer")).to.have.property("value");
				await child.result;
				await expectTraces(context, { [key]: 1 });
				await expectUnharmed(context, subject, await warm(subject, 3));
			},
		}),
	),
];

/** A pool whose children cannot see by `process.ppid` that they are children. */
function watch(context: Context): {
	readonly subject: ReturnType<Context["open"]>;
	/** In the child: waits until the fork is noticed, by whatever notices it first. */
	noticed(): Promise<void>;
	/** In the parent: until then, the child's event loop can take an answer. The child raises this flag when it is done. */
	noticedBy(done: ReturnType<Context["flag"]>): Promise<void>;
} {
	let isNoticed = false;
	const subject = context.open({
		onProcessChange: () => {
			isNoticed = true;
		},
	});
	return {
		subject,
		async noticed() {
			context.callHook();
			// An unprotected pool notices nothing, ever.
			if (!context.face.isProtected) return;
			if (context.hasSentinel && !context.hook) await subject.echo("the first touch");
			if (context.hook || context.hasSentinel) expect(isNoticed, "it was noticed at once").to.equal(true);
			await untilTrue(() => isNoticed, { what: "the next tick has noticed the fork" });
		},
		async noticedBy(done) {
			if (context.face.isProtected && !context.hook) await done.raised();
		},
	};
}

/** What was executed has no connection to anybody. (The standard streams may be sockets.) */
async function expectNoSockets(pid: number): Promise<void> {
	const program = realpathSync(SLEEP);
	await untilTrue(() => readlinkSync(`/proc/${pid}/exe`) === program, { what: `${pid} is ${program}` });
	const files = `/proc/${pid}/fd`;
	const targets = readdirSync(files)
		.filter((file) => Number(file) > 2)
		.map((file) => readlinkSync(join(files, file)));
	expect(targets.filter((target) => target.startsWith("socket:"), `sockets of ${pid}`)).to.deep.equal([]);
}

/** A way to the server on which its answers are held back: see test/programs/holding-proxy.ts. */
async function holdAfter(
	bytes: number,
	context: Context,
): Promise<{ readonly url: string } & Record<"held" | "released", ReturnType<Context["flag"]>>> {
	const [listening, held, released] = [context.flag(), context.flag(), context.flag()];
	const { target, through } = endpointOf(context.url);
	// The line server has no greeting, and short answers.
	const least = context.url.startsWith("tcp:") || context.url.startsWith("unix:") ? 1 : bytes;
	const flags = [listening, held, released].map(({ path }) => path);
	const proxy = spawn(process.execPath, [fileURLToPath(holdingProxy), JSON.stringify(target), String(least), ...flags], {
		stdio: ["ignore", "inherit", "inherit"],
	});
	context.ends({ end: async () => proxy.kill("SIGKILL") });
	return { url: through(await listening.raised()), held, released };
}

/** Where the server of a url is, and the url by another port of this machine. */
function endpointOf(text: string): { target: NetConnectOpts; through(port: string): string } {
	const url = new URL(text);
	const ownPort = url.port;
	const directory = decodeURIComponent(url.hostname);
	const socketPath = url.searchParams.get("socketPath");
	const target = (): NetConnectOpts => {
		if (socketPath !== null) return { path: socketPath };
		if (url.protocol === "unix:") return { path: decodeURIComponent(url.pathname) };
		if (directory.startsWith("/")) return { path: `${directory}/.s.PGSQL.${ownPort}` };
		return { host: url.hostname, port: Number(ownPort) };
	};
	const found = target();
	return {
		target: found,
		through(port) {
			if (url.protocol === "unix:") return `tcp://127.0.0.1:${port}`;
			url.searchParams.delete("socketPath");
			url.host = `127.0.0.1:${port}`;
			return url.href;
		},
	};
}
