/** A machine that is cloned, by the word of its vmclock device: what leaves the sockets that belong to the original. */
import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import { runProgram } from "../support/program.ts";
import { postgresUrl, type Transport } from "../support/server-urls.ts";
import { FakeVmClock } from "../support/vm-clock.ts";

const program = new URL("../programs/cloned.ts", import.meta.url);
/** Long enough for the kernel to ask whether the other side is still there. */
const watchedMillis = 3_000;

/** Sockets stay in TIME-WAIT for a minute: there can be tens of thousands. */
const MOST_BYTES = 64 * 1024 * 1024;

interface Sent {
	readonly state: string;
	readonly segments: number;
}

/**
 * What the kernel has sent from these local ports to the server, by its own count (TCP_INFO): acknowledgements, keep-alives and
 * FINs too.
 */
async function sentFrom(ports: readonly number[], server: number): Promise<ReadonlyMap<number, Sent>> {
	const of = ["--tcp", "--numeric", "--all", "--info", "--no-header", "--oneline", `dport = :${server}`];
	const { stdout } = await promisify(execFile)("ss", of, { maxBuffer: MOST_BYTES });
	const sent = new Map<number, Sent>();
	for (const line of stdout.split("\n")) {
		const [state = "", , , local = ""] = line.trim().split(/\s+/);
		const port = portOf(local);
		const segments = Number(/ segs_out:(\d+)/.exec(line)?.[1] ?? 0);
		if (ports.includes(port)) sent.set(port, { state, segments });
	}
	return sent;
}

/** Before and after a while in which nothing is to happen. */
async function watch(ports: readonly number[], server: number): Promise<ReadonlyMap<number, Sent>[]> {
	const before = await sentFrom(ports, server);
	await delay(watchedMillis);
	return [before, await sentFrom(ports, server)];
}

function portOf(address: string): number {
	return Number(address.slice(address.lastIndexOf(":") + 1));
}

describe("a cloned machine", () => {
	let device: FakeVmClock;

	before(function () {
		if (process.platform === "linux") return;
		console.log(`    skipped: vmclock is a device of Linux, and this is ${process.platform}`);
		this.skip();
	});

	beforeEach(() => {
		device = new FakeVmClock();
	});

	afterEach(() => device.remove());

	for (const transport of ["TCP", "TLS"] satisfies Transport[]) {
		it(`sends nothing on the connections of the original, and has its own: ${transport}`, async function () {
			const url = postgresUrl(transport);
			if (url === undefined) {
				console.log(`    skipped: the server of this run does not offer ${transport}`);
				this.skip();
			}
			const server = Number(new URL(url).port || 5432);
			let ports: readonly number[] = [];
			let watched: ReturnType<typeof watch> | undefined;
			const { reports, output, exitCode } = await runProgram(program, {
				deadlineMillis: 30_000,
				args: [device.path],
				env: { DATABASE_URL: url },
				onReport: ({ pid, ...line }) => {
					if (line.kind !== "report") return;
					if (Array.isArray(line.value)) {
						ports = line.value as number[];
						device.write({ generation: 1n });
					} else {
						watched = watch(ports, server).finally(() => process.kill(pid, "SIGUSR2"));
					}
				},
			});
			const [before, after] = (await watched) ?? [];
			const [, inClone] = reports.map((line) => (line.kind === "report" ? line.value : line));
			expect(inClone, output).to.deep.equal({ refused: "ERR_FORKSAFE_INHERITED", asked: { n: 1 }, own: 2 });
			expect([...(before?.keys() ?? [])], "sockets of the original")
				.to.have.members([...ports])
				.and.to.have.lengthOf(4);
			expect([...(after?.values() ?? [])].map(({ state }) => state)).to.deep.equal(["ESTAB", "ESTAB", "ESTAB", "ESTAB"]);
			expect(Object.fromEntries(after ?? []), "segments sent").to.deep.equal(Object.fromEntries(before ?? []));
			expect(exitCode, output).to.equal(0);
		});
	}
});
