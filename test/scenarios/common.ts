/** The scenarios that every face goes through: what they need of a pool is in faces/face.ts. */

import { channel } from "node:diagnostics_channel";
import { readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { currentGeneration, type ProcessChange, resumeAll, suspendAll } from "@forksafe/core";
import { expect } from "chai";
import type { Held } from "../faces/face.ts";
import { type Child, forkChild } from "../support/fork.ts";
import { getpid, getppid } from "../support/posix-fork.ts";
import { settle } from "../support/promises.ts";
import { untilTrue } from "../support/until-true.ts";
import {
	type Context,
	expectRefused,
	expectTraces,
	expectUnharmed,
	INHERITED,
	inFlight,
	outcome,
	PROCESS_CHANGED,
	rethrow,
	type Scenario,
	soon,
	talk,
	unique,
	warm,
} from "./scenario.ts";

export const commonScenarios: readonly Scenario[] = [
	{
		name: "with idle connections: both processes go on, each on connections of its own",
		contract: [1, 2, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				const own = [...(await warm(subject, 3))];
				const onServer = [...(await context.face.server.sessions(context.url))];
				expect(onServer, "sessions on the server").to.include.members([...own, ...backends]);
				return own;
			});
			await talk(subject, "the parent", 200);
			const theirs = await child.result;
			expect(new Set([...theirs, ...backends]).size, "different connections").to.equal(6);
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with queries in flight: they fail in the child, they are answered in the parent",
		contract: [2, 3, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const asked = [1, 2, 3].map(() => outcome(subject.sleep(150)));
			await inFlight(subject, 3);
			const child = await context.fork("child", async () => {
				const own = subject.echo("mine");
				for (const query of asked) await expectRefused(rethrow(query), INHERITED);
				expect(await own).to.equal("mine");
			});
			await child.result;
			for (const query of asked) expect(await soon(query, "the answer")).to.have.property("value");
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with statements queued: each is executed exactly once, in the parent",
		contract: [4, 12],
		async run(context) {
			const subject = context.open({ max: 2 });
			const backends = await warm(subject, 2);
			const running = [1, 2].map(() => outcome(subject.sleep(100)));
			const keys = Array.from({ length: 10 }, (_, index) => unique(`queued-${index}`));
			const queued = keys.map((key) => outcome(subject.insert(key)));
			await inFlight(subject, 2);
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				for (const query of running) await expectRefused(rethrow(query), INHERITED);
				for (const query of queued) await expectRefused(rethrow(query), PROCESS_CHANGED);
			});
			for (const query of queued) expect(await soon(query, "the insert")).to.have.property("value");
			await child.result;
			await expectTraces(context, Object.fromEntries(keys.map((key) => [key, 1])));
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with a connection taken out: the child may not use it, the parent may",
		contract: [5, 6, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const held = await subject.hold();
			const keys = { child: unique("child"), parent: unique("parent") };
			const child = await context.fork("child", async () => {
				await expectRefused(held.insert(keys.child), INHERITED);
				await expectRefused(held.echo("again"), INHERITED);
				await talk(subject, "the child");
				await expectRefused(held.echo("and again"), INHERITED);
				await held.release();
			});
			await child.result;
			await held.insert(keys.parent);
			expect(await held.echo("mine")).to.equal("mine");
			await held.release();
			await expectTraces(context, { [keys.parent]: 1, [keys.child]: 0 });
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "with connections taken out, which the child releases before and after its own first use: nothing changes",
		contract: [6, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const [early, late] = [await subject.hold(), await subject.hold()];
			const child = await context.fork("child", async () => {
				await early.release();
				await talk(subject, "the child");
				const own = await subject.hold();
				const before = subject.counts();
				await late.release();
				expect(subject.counts(), "counters of the child").to.deep.equal(before);
				expect(await own.echo("mine")).to.equal("mine");
				await own.release();
				const mine = await warm(subject, 3);
				for (const backend of backends) expect(mine.has(backend), "the child got a connection of the parent").to.equal(false);
			});
			await child.result;
			expect(await early.echo("mine")).to.equal("mine");
			await early.release();
			await late.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "after which the child ends a connection of the parent: the session lives on",
		contract: [2, 7, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const held = await subject.hold();
			const child = await context.fork("child", async () => {
				await soon(held.end(), "the end of the inherited connection");
				await talk(subject, "the child");
			});
			await child.result;
			expect(await held.echo("mine")).to.equal("mine");
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "after which the child ends the whole pool: the parent's goes on",
		contract: [2, 7, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const held = await subject.hold();
			const child = await context.fork("child", async () => {
				await soon(subject.end(), "the end of the pool");
				expect(subject.counts()).to.deep.equal({ used: 0, idle: 0, pending: 0 });
				expect(await soon(outcome(subject.echo("late")), "an answer of the ended pool")).to.have.property("error");
			});
			await child.result;
			expect(await held.echo("mine")).to.equal("mine");
			await held.release();
			await expectUnharmed(context, subject, backends);
		},
	},
	...(["process.exit", "run-dry", "signal"] as const).map(
		(exit): Scenario => ({
			name: `after which the child uses the pool and goes by ${exit}: the parent's sessions live on`,
			contract: [7, 12],
			async run(context) {
				const subject = context.open({ idleTimeoutMillis: 200 });
				const backends = await warm(subject, 3);
				// Both copies of an unprotected pool wait for these three answers, and only one of them can read each.
				const asked = Array.from(backends, () => outcome(subject.sleep(20)));
				await inFlight(subject, backends.size);
				const child = await context.fork("child", () => talk(subject, "the child"), { exit });
				// Its idle connections must stay younger than 200 ms, while those of the child grow old.
				await keepBusy(subject, backends.size, child);
				expect(await child.exited).to.deep.equal(
					exit === "signal" ? { code: undefined, signal: "SIGKILL" } : { code: 0, signal: undefined },
				);
				await child.result;
				for (const query of asked) expect(await soon(query, "the answer")).to.have.property("value");
				await expectUnharmed(context, subject, backends);
			},
		}),
	),
	...(["process.exit", "signal"] as const).map(
		(exit): Scenario => ({
			name: `after which the child goes by ${exit} at once: the parent's sessions live on`,
			contract: [7, 12],
			harmless: "the kernel closes the copies of the sockets, and says nothing to the server",
			async run(context) {
				const subject = context.open();
				const backends = await warm(subject, 3);
				const child = await context.fork("child", () => {}, { exit });
				await child.result;
				await expectUnharmed(context, subject, backends);
			},
		}),
	),
	{
		name: "while connections are being opened: the parent gets them, the child opens its own",
		contract: [1, 2, 4, 12],
		async run(context) {
			const subject = context.open();
			const key = unique("connecting");
			const waiting = [subject.insert(key), subject.echo("one"), subject.echo("two")].map((query) => outcome<unknown>(query));
			await turn();
			const child = await context.fork("child", async () => {
				const own = talk(subject, "the child");
				for (const query of waiting) await expectRefused(rethrow(query), PROCESS_CHANGED);
				await own;
			});
			for (const query of waiting) expect(await soon(query, "the answer")).to.have.property("value");
			await child.result;
			await expectTraces(context, { [key]: 1 });
			await expectUnharmed(context, subject, await warm(subject, 3));
		},
	},
	{
		name: "with a large statement half written: the parent writes the rest, the child nothing",
		contract: [2, 3, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const large = "x".repeat(24 * 1024 * 1024);
			const held = await subject.hold();
			let statement = outcome(held.echo(large));
			for (let attempt = 0; ; attempt++) {
				// What the socket takes is written in the first turn. In the second, libuv waits for it to take more: before that,
				// uv_loop_fork gives the child a wait that it does not know, and the child aborts.
				await turn();
				await turn();
				if (bytesToWrite(held) > 0) break;
				// A server that reads at once, on a core of its own, may have taken everything.
				expect(attempt, "attempts to find bytes that are still to be written").to.be.below(5);
				expect(await soon(statement, "the answer", 8_000)).to.have.property("value");
				statement = outcome(held.echo(large));
			}
			const child = await context.fork("child", async () => {
				const own = talk(subject, "the child");
				await expectRefused(rethrow(statement), INHERITED);
				await own;
				await held.release();
			});
			const answer = await soon(statement, "the answer", 8_000);
			expect("value" in answer && answer.value === large, "the large statement was answered").to.equal(true);
			await held.release();
			await child.result;
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "of a child by a child: every generation has its own connections",
		contract: [1, 2, 3, 12],
		async run(context) {
			const subject = context.open();
			const backends = await warm(subject, 3);
			const child = await context.fork("child", async () => {
				const own = await warm(subject, 3);
				const held = await subject.hold();
				const grandchild = await context.fork("grandchild", async () => {
					await expectRefused(held.echo("not mine"), INHERITED);
					await talk(subject, "the grandchild");
					expect(currentGeneration()).to.equal(2);
					return [...(await warm(subject, 3))];
				});
				const theirs = await grandchild.result;
				expect(await held.echo("mine")).to.equal("mine");
				await held.release();
				await talk(subject, "the child");
				expect([...(await warm(subject, 3))].sort(), "connections of the child").to.deep.equal([...own].sort());
				return [...own, ...theirs];
			});
			await talk(subject, "the parent");
			const others = await child.result;
			expect(new Set([...others, ...backends]).size, "different connections").to.equal(9);
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "of ten children at once: each has its own connections",
		contract: [1, 2, 12],
		async run(context) {
			const subject = context.open({ max: 2 });
			const backends = await warm(subject, 2);
			const children: Child<string[]>[] = [];
			for (let i = 0; i < 10; i++) {
				const work = async (): Promise<string[]> => {
					await talk(subject, `child ${i}`);
					return [...(await warm(subject, 2))];
				};
				children.push(await context.fork(`child ${i}`, work));
			}
			await talk(subject, "the parent", 200);
			const theirs = (await Promise.all(children.map(({ result }) => result))).flat();
			expect(new Set(theirs).size, "different connections of the children").to.be.greaterThan(2);
			for (const backend of backends) expect(theirs).to.not.include(backend);
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "before the first connection: both processes open their own",
		contract: [1, 12],
		harmless: "there is nothing to inherit yet",
		async run(context) {
			const subject = context.open();
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				return [...(await warm(subject, 3))];
			});
			await talk(subject, "the parent");
			const backends = await warm(subject, 3);
			expect(await child.result).to.not.include.members([...backends]);
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "after which the parent goes first: the orphan works on, and the parent's sessions end",
		contract: [1, 7],
		async run(context) {
			const parentIsGone = context.flag();
			const orphanIsDone = context.flag();
			const orphanMayGo = context.flag();
			const orphanGoes = context.flag();
			const parent = await forkChild("parent", async () => {
				const subject = context.open();
				const backends = [...(await warm(subject, 3))];
				const parentPid = getpid();
				await context.fork("orphan", async () => {
					await talk(subject, "the orphan");
					await parentIsGone.raised();
					await untilTrue(() => getppid() !== parentPid, { what: "the orphan has another parent" });
					await talk(subject, "the orphan");
					orphanIsDone.raise();
					await orphanMayGo.raised();
					// Two forks, and no third for its new parent. Asked last: a look is announced to every pool.
					expect(currentGeneration(), "generation of the orphan").to.equal(2);
					orphanGoes.raise();
				});
				return backends;
			});
			const backends = await parent.result;
			await parent.exited;
			parentIsGone.raise();
			await orphanIsDone.raised();
			// A copy of a socket that the orphan had kept would keep the session of the parent.
			const haveEnded = async (): Promise<boolean> => {
				const sessions = await context.face.server.sessions(context.url);
				return !backends.some((backend) => sessions.has(backend));
			};
			await untilTrue(haveEnded, { what: "the sessions of the parent have ended", deadlineMillis: 2_000 });
			orphanMayGo.raise();
			await orphanGoes.raised();
		},
	},
	{
		name: "a hundred times over: no descriptor and no memory stays behind in the parent",
		contract: [12],
		hooks: [true],
		async run(context) {
			const subject = context.open({ max: 1 });
			const backends = await warm(subject, 1);
			const generations = async (count: number): Promise<void> => {
				for (let i = 0; i < count; i++) {
					const child = await context.fork(`child ${i}`, () => subject.echo("mine"));
					expect(await subject.echo("the parent's")).to.equal("the parent's");
					expect(await child.result).to.equal("mine");
				}
			};
			await generations(20);
			const before = resources();
			await generations(80);
			const after = resources();
			expect(after.descriptors, "descriptors").to.equal(before.descriptors);
			expect(after.heap - before.heap, "bytes of heap").to.be.lessThan(1024 * 1024);
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "while the pool is being drained: it is ended in the child, and drained to the end in the parent",
		contract: [2, 6, 7],
		async run(context) {
			const subject = context.open();
			await warm(subject, 3);
			const held = await subject.hold();
			const ended = outcome(subject.end());
			const child = await context.fork("child", async () => {
				expect(await soon(outcome(subject.echo("late")), "the refusal of the child's acquire")).to.have.property("error");
				expect(subject.counts()).to.deep.equal({ used: 0, idle: 0, pending: 0 });
				await soon(ended, "the end of the pool in the child");
				await held.release();
			});
			await child.result;
			expect(await held.echo("mine")).to.equal("mine");
			await held.release();
			expect(await soon(ended, "the end of the pool")).to.deep.equal({ value: undefined });
		},
	},
	{
		name: "while the pool is being suspended: each process resumes it for itself, and who waits is served in the parent",
		contract: [1, 2, 4, 5, 12],
		async run(context) {
			const subject = context.open();
			await warm(subject, 2);
			const held = await subject.hold();
			const suspended = outcome(suspendAll());
			const key = unique("meanwhile");
			const waiting = outcome(subject.insert(key));
			await settle(); // by now it waits
			const child = await context.fork("child", async () => {
				const own = subject.echo("mine");
				await expectRefused(rethrow(waiting), PROCESS_CHANGED);
				await expectRefused(held.echo("mine"), INHERITED);
				expect(await soon(suspended, "the suspension in the child")).to.deep.equal({ value: undefined });
				resumeAll();
				expect(await own).to.equal("mine");
				await talk(subject, "the child");
			});
			await child.result;
			expect(await held.echo("mine")).to.equal("mine");
			await held.release();
			expect(await soon(suspended, "the suspension")).to.deep.equal({ value: undefined });
			await expectTraces(context, { [key]: 0 });
			resumeAll();
			expect(await soon(waiting, "the statement that waited")).to.have.property("value");
			await expectTraces(context, { [key]: 1 });
			await talk(subject, "the parent", 200);
		},
	},
	{
		name: "with idle connections that the child never uses: its inherited timers do not end them",
		contract: [9, 12],
		hooks: [true],
		async run(context) {
			const subject = context.open({ idleTimeoutMillis: 200 });
			const backends = await warm(subject, 3);
			const child = await context.fork("child", () => elapse(700));
			await keepBusy(subject, backends.size, child);
			await child.result;
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "of a pool with min connections: the child opens none before it needs one",
		contract: [9],
		hooks: [true],
		harmless: "an unprotected pool believes that it has its connections",
		async run(context) {
			const subject = context.open({ min: 2 });
			const backends = await warm(subject, 3);
			const before = await context.face.server.sessions(context.url);
			const child = await context.fork("child", async () => {
				await elapse(300);
				expect(subject.counts()).to.deep.equal({ used: 0, idle: 0, pending: 0 });
				const now = await context.face.server.sessions(context.url);
				expect(now.size, "sessions on the server").to.be.at.most(before.size);
			});
			await untilTrue(() => child.exited.then(() => true), { what: "the child has gone" });
			if (context.face.isProtected) await child.result;
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "which each pool announces once, with both pids",
		contract: [11, 12],
		async run(context) {
			const heard: { listener: ProcessChange[]; log: string[]; channel: ProcessChange[] } = {
				listener: [],
				log: [],
				channel: [],
			};
			const onMessage = (message: unknown): void => void heard.channel.push((message as { change: ProcessChange }).change);
			channel("forksafe:pool:process-change").subscribe(onMessage);
			const subject = context.open({
				onProcessChange: (change) => heard.listener.push(change),
				log: (message) => heard.log.push(message),
			});
			await warm(subject, 3);
			const parentPid = getpid();
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				await talk(subject, "the child");
				const change = {
					cause: "fork",
					previousPid: parentPid,
					pid: getpid(),
					previousGeneration: 0,
					generation: 1,
				};
				expect(heard.listener).to.deep.equal([change]);
				expect(heard.channel).to.deep.equal([change]);
				const lines = heard.log.filter((line) => line.includes(String(parentPid)) && line.includes(String(getpid())));
				expect(lines, "log lines with both pids").to.have.length(1);
			});
			await child.result;
			expect([...heard.listener, ...heard.channel], "announcements in the parent").to.deep.equal([]);
			channel("forksafe:pool:process-change").unsubscribe(onMessage);
		},
	},
	{
		name: "after which nothing of the parent's connections can be reached in the child",
		contract: [10],
		async run(context) {
			const subject = context.open();
			const references = await referToConnections(subject);
			const child = await context.fork("child", async () => {
				await talk(subject, "the child");
				await untilTrue(
					async () => {
						await turn();
						collectGarbage();
						return references.every((reference) => reference.deref() === undefined);
					},
					{ what: "the inherited connections are collected", deadlineMillis: 3_000 },
				);
			});
			await child.result;
		},
	},
	{
		name: "that nobody tells the child about: it is seen by the next maintenance tick",
		contract: [2, 11, 12],
		hooks: [false],
		async run(context) {
			const noticed = context.flag();
			const subject = context.open({ onProcessChange: () => noticed.raise() });
			const backends = await warm(subject, 3);
			const child = await context.fork("child", () => noticed.raised());
			await noticed.raised();
			await talk(subject, "the parent", 200);
			await child.result;
			await expectUnharmed(context, subject, backends);
		},
	},
	{
		name: "twice, with the process in the middle gone: the grandchild starts afresh",
		contract: [1, 2, 12],
		async run(context) {
			const done = context.flag();
			const subject = context.open();
			const backends = await warm(subject, 3);
			const middle = await context.fork("middle", async () => {
				await context.fork("grandchild", async () => {
					await talk(subject, "the grandchild");
					for (const backend of await warm(subject, 3)) expect(backends.has(backend)).to.equal(false);
					done.raise();
				});
			});
			await middle.exited;
			await talk(subject, "the parent", 200);
			await done.raised();
			await expectUnharmed(context, subject, backends);
		},
	},
];

/** Of a statement that the socket has not taken whole. */
function bytesToWrite({ raw }: Held): number {
	const { socket, stream, connection } = raw as { socket?: Socket; stream?: Socket; connection?: { stream: Socket } };
	return (socket ?? stream ?? connection?.stream)?.writableLength ?? 0;
}

/** Uses all connections again and again, so that none is ever idle for long, until the child has gone. */
async function keepBusy(subject: ReturnType<Context["open"]>, connections: number, child: Child<unknown>): Promise<void> {
	let isGone = false;
	void child.exited.then(() => {
		isGone = true;
	});
	while (!isGone) {
		await Promise.all(Array.from({ length: connections }, () => subject.sleep(20)));
	}
}

/** In a function of its own, so that no variable of the scenario refers to them. */
async function referToConnections(subject: ReturnType<Context["open"]>): Promise<WeakRef<object>[]> {
	const held = [await subject.hold(), await subject.hold()];
	await Promise.all(held.map((connection) => connection.echo("mine")));
	const references = held.map(({ raw }) => new WeakRef(raw));
	for (const connection of held) await connection.release();
	await talk(subject, "the parent");
	return references;
}

function collectGarbage(): void {
	if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
	globalThis.gc();
}

function resources(): { descriptors: number; heap: number } {
	collectGarbage();
	return { descriptors: readdirSync("/proc/self/fd").length, heap: process.memoryUsage().heapUsed };
}

/** A scenario about time has to let it pass. */
function elapse(millis: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, millis));
}
