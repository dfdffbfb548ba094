import { existsSync } from "node:fs";
import { expect } from "chai";
import type { ProgramResult } from "../../../test/support/program.ts";
import { BundledProgram, valuesOf } from "../../../test/support/start-up-snapshot.ts";

const DEADLINE_MILLIS = 20_000;

describe("a start-up snapshot", function () {
	this.timeout(60_000);
	let program: BundledProgram;

	before("bundle the program", async () => {
		program = await BundledProgram.of(new URL("./programs/snapshot.ts", import.meta.url));
	});

	after(() => program?.remove());

	function build(what: string): Promise<ProgramResult> {
		return program.build({ deadlineMillis: DEADLINE_MILLIS, env: { FORKSAFE_TEST_CASE: what } });
	}

	async function start(): Promise<unknown[]> {
		const started = await program.start({ deadlineMillis: DEADLINE_MILLIS });
		expect(started.exitCode, started.output).to.equal(0);
		return valuesOf(started);
	}

	it("has no connection in it: what comes back is ended, nothing is opened for min, and the end is waited for", async () => {
		const built = await build("used");
		expect(built.exitCode, built.output).to.equal(0);
		const [seen] = valuesOf<{ counts: { opened: number; ended: number } }>(built);
		expect(seen).to.have.nested.property("stats.total", 0);
		expect(seen?.counts.opened).to.be.within(3, 6);
		expect(seen?.counts.ended).to.equal(seen?.counts.opened);
	});

	it("starts a process of a generation of its own, whose deadlines and idle times go by a clock that has begun anew", async () => {
		await build("used");
		const [self, waiter, full, smaller] = await start();
		expect(self).to.deep.include({ cause: "snapshot", generation: 1, current: 1 });
		expect(self).to.have.nested.property("counts.discarded", 0);
		expect(waiter).to.have.property("code", "ERR_FORKSAFE_ACQUIRE_TIMEOUT");
		expect(waiter).to.have.property("waited").that.is.within(95, 5_000);
		expect(full).to.deep.equal({ idle: 3 });
		expect(smaller).to.deep.equal({ idle: 2 });
	});

	it("is written also when pools and other holders were given up", async () => {
		const { exitCode, output } = await build("given up");
		expect(exitCode, output).to.equal(0);
		const [self] = await start();
		expect(self).to.include({ current: 1 });
	});

	it("is not written with connections that are still held: the pool and who has acquired them are named", async () => {
		const { exitCode, output } = await build("forgotten");
		expect(exitCode, output).to.equal(1);
		expect(output).to.match(/^forksafe: no snapshot was written \(ERR_FORKSAFE_SNAPSHOT\): 2 connections are still open$/m);
		expect(output.match(/^orders: a connection was not released; acquired\n +at forgetful /gm)).to.have.lengthOf(2);
		expect(existsSync(program.blob)).to.equal(false);
	});

	it("is not written with a connection that does not end in time, and does not wait for it", async () => {
		const { exitCode, output, timedOut } = await build("endless");
		expect(timedOut, output).to.equal(false);
		expect(exitCode, output).to.equal(1);
		expect(output).to.match(/^a connection was not ended; opened\n +at new Line /m);
	});

	it("is noticed once, also by who asks before core is told", async () => {
		await build("asked first");
		const [first, self] = await start();
		expect(first).to.deep.equal({ first: 1 });
		expect(self).to.include({ generation: 1, current: 1 });
	});
});
