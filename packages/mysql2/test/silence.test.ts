/** What an inherited connection sends, noted by a proxy between it and the server: nothing. */
import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reportProcessChange } from "@forksafe/core";
import { expect } from "chai";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { runProgram } from "../../../test/support/program.ts";
import { settle } from "../../../test/support/promises.ts";
import type { Sent } from "../../../test/support/recording-proxy.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { end, giveUp, ping } from "../src/index.ts";
import { type AttemptedConnection, attempts } from "./support/attempts.ts";
import { MariadbProxy } from "./support/proxy.ts";
import { afterThisTest, forkUnnoticed, type GuardedConnection, openConnection, server } from "./support/set-up.ts";

const program = new URL("./programs/silent-child.ts", import.meta.url);
const names = Object.keys(attempts);
/** A session of TLS says goodbye by itself when its stream ends. */
const transports = ["TCP", "TLS"] as const;
type Transport = (typeof transports)[number];

const ours: Record<string, (connection: GuardedConnection) => unknown> = {
	"our end": end,
	"our ping": (connection) => ping(connection, AbortSignal.timeout(5_000)),
	"our giveUp": giveUp,
};

describe("an inherited connection sends nothing", () => {
	for (const transport of transports) {
		for (const [name, prepare] of [...Object.entries(attempts), ...Object.entries(ours)]) {
			for (const [when, change] of [
				["after a fork that it was told of", () => pretendFork()],
				["in a fork that nobody has noticed yet", () => forkUnnoticed()],
				["in a copy of the whole machine", () => reportProcessChange()],
			] as const) {
				it(`by ${name} ${when}, over ${transport}`, async () => {
					const proxy = await new MariadbProxy().start();
					const connection = await openConnection({ ...server(transport), uri: proxy.urlOf(transport) });
					const attempt = name in attempts ? await prepare(connection as never) : () => prepare(connection as never);
					const [before] = await proxy.atRest();
					change();
					await (attempt as () => unknown)();
					if (when.includes("machine")) await settle();
					else await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
					// Where the whole machine was copied, even to close the socket would send something.
					expect(proxy.open).to.equal(when.includes("machine") ? 1 : 0);
					expect(proxy.bytes).to.equal(before?.bytes);
					expect(connection.isInherited()).to.equal(true);
				});
			}
		}
	}
});

describe("a forked child", () => {
	for (const transport of transports) {
		for (const hook of [true, false]) {
			it(`sends neither a byte nor a FIN, whatever it tries, and by its exit, over ${transport} (hook: ${hook})`, async function () {
				this.timeout(30_000);
				const { before, after, answers, output } = await run(transport, { isGuarded: true, hook });
				expect(output).to.equal("");
				for (const [index, name] of names.entries()) expect(after[index], name).to.deep.equal(before[index]);
				expect(answers).to.deep.equal(names.map(() => "mine"));
			});
		}

		it(`without a guard is heard by each attempt, over ${transport}`, async function () {
			this.timeout(30_000);
			const { before, after } = await run(transport, { isGuarded: false, hook: false });
			for (const [index, name] of names.entries()) expect(after[index], name).not.to.deep.equal(before[index]);
		});
	}
});

describe("without a change", () => {
	it("the server hears of each attempt", async () => {
		for (const [name, prepare] of Object.entries(attempts)) {
			const proxy = await new MariadbProxy().start();
			const connection = await openConnection({ ...server(), uri: proxy.urlOf() });
			connection.on("error", () => {});
			const attempt = await prepare(connection as unknown as AttemptedConnection);
			const [before] = await proxy.atRest();
			void attempt();
			await untilTrue(() => proxy.bytes > (before as Sent).bytes || proxy.clients[0]?.hasEnded === true, {
				what: `${name} has arrived`,
			});
		}
	});
});

interface Run {
	/** What each connection has sent, before the fork and after the end of the child. */
	readonly before: readonly Sent[];
	readonly after: readonly Sent[];
	/** What the parent was answered afterwards. */
	readonly answers: unknown;
	readonly output: string;
}

async function run(transport: Transport, { isGuarded, hook }: { isGuarded: boolean; hook: boolean }): Promise<Run> {
	const proxy = await new MariadbProxy().start();
	const sign = join(tmpdir(), `forksafe-sign-${randomUUID()}`);
	afterThisTest(async () => {
		for (const path of [sign, `${sign}.end`]) rmSync(path, { force: true });
	});
	let before: readonly Sent[] = [];
	let after: readonly Sent[] = [];
	let answers: unknown;
	const onReady = async (): Promise<void> => {
		before = await proxy.atRest();
		writeFileSync(sign, "");
	};
	const onGone = async (): Promise<void> => {
		after = await proxy.atRest();
		writeFileSync(`${sign}.end`, "");
	};
	const { output } = await runProgram(program, {
		deadlineMillis: 25_000,
		args: [proxy.urlOf(transport), String(isGuarded), String(hook), sign],
		onReport: (report) => {
			if (report.kind !== "report") return;
			if (report.value === "ready") void onReady();
			else if (report.value === "the child has gone") void onGone();
			else answers = report.value;
		},
	});
	expect(before, "connections").to.have.lengthOf(names.length);
	return { before, after, answers, output };
}
