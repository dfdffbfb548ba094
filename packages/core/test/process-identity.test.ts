import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import type * as core from "../src/index.ts";
import {
	afterFork,
	type ConnectionHolder,
	currentGeneration,
	knownGeneration,
	lastProcessChange,
	onProcessChange,
	type ProcessChange,
	registerHolder,
	reportProcessChange,
} from "../src/index.ts";
import { truePidOn } from "../src/true-pid.ts";
import { at } from "./support/at.ts";
import { survivors } from "./support/collection.ts";
import { setUpIdle } from "./support/set-up.ts";
import { warningsOf } from "./support/warnings.ts";

describe("process identity", () => {
	let cleanUps: (() => void)[] = [];

	afterEach(() => {
		for (const cleanUp of cleanUps) cleanUp();
		cleanUps = [];
	});

	function listen(listener: (change: ProcessChange) => void): void {
		cleanUps.push(onProcessChange(listener));
	}

	function hold(holder: ConnectionHolder): ConnectionHolder {
		cleanUps.push(registerHolder(holder));
		return holder;
	}

	describe("reportProcessChange", () => {
		it("ends the generation, and says what has changed", () => {
			const generation = currentGeneration();
			const pid = truePidOn(process.platform).read();
			const change = reportProcessChange();
			expect(change).to.deep.equal({
				cause: "reported",
				previousPid: pid,
				pid,
				previousGeneration: generation,
				generation: generation + 1,
			});
			expect(currentGeneration()).to.equal(generation + 1);
			expect(knownGeneration()).to.equal(generation + 1);
			expect(lastProcessChange()).to.equal(change);
		});

		it("ends another generation each time", () => {
			const generation = currentGeneration();
			reportProcessChange();
			reportProcessChange();
			expect(currentGeneration()).to.equal(generation + 2);
		});
	});

	describe("afterFork", () => {
		it("does nothing in a process that is no copy", () => {
			const generation = currentGeneration();
			listen(() => expect.fail("nothing has changed"));
			expect(afterFork()).to.equal(undefined);
			expect(currentGeneration()).to.equal(generation);
		});
	});

	describe("onProcessChange", () => {
		it("calls each listener once for each change, until it is removed", () => {
			const heard: ProcessChange[] = [];
			const stop = onProcessChange((change) => heard.push(change));
			const changes = [reportProcessChange(), reportProcessChange()];
			currentGeneration();
			stop();
			stop();
			reportProcessChange();
			expect(heard).to.deep.equal(changes);
		});

		it("calls a listener that was added twice twice, and removes one at a time", () => {
			let count = 0;
			const listener = (): void => void count++;
			const stop = onProcessChange(listener);
			listen(listener);
			reportProcessChange();
			stop();
			reportProcessChange();
			expect(count).to.equal(3);
		});

		it("lets the listener see the new generation", () => {
			const seen: unknown[] = [];
			listen((change) => seen.push(currentGeneration() - change.generation, lastProcessChange() === change));
			reportProcessChange();
			expect(seen).to.deep.equal([0, true]);
		});

		it("calls a listener that was added by another one from the next change on", () => {
			let count = 0;
			let isFirst = true;
			listen(() => {
				if (isFirst) listen(() => count++);
				isFirst = false;
			});
			reportProcessChange();
			expect(count).to.equal(0);
			reportProcessChange();
			expect(count).to.equal(1);
		});
	});

	describe("holders", () => {
		it("discard in the order of registration, and announce when all have discarded; then come the listeners", () => {
			const steps: string[] = [];
			listen(() => steps.push("listener"));
			for (const name of ["first", "second"]) {
				hold({ discardInherited: () => steps.push(`${name} discards`), announce: () => steps.push(`${name} announces`) });
			}
			hold({ discardInherited: () => steps.push("silent discards") });
			reportProcessChange();
			expect(steps).to.deep.equal([
				"first discards",
				"second discards",
				"silent discards",
				"first announces",
				"second announces",
				"listener",
			]);
		});

		it("see the new generation while they discard", () => {
			let generation = -1;
			hold({ discardInherited: () => (generation = currentGeneration()) });
			const change = reportProcessChange();
			expect(generation).to.equal(change.generation);
		});

		it("are told no more once they are taken out", () => {
			let count = 0;
			const holder = { discardInherited: () => count++ };
			const unregister = registerHolder(holder);
			reportProcessChange();
			unregister();
			unregister();
			reportProcessChange();
			expect(count).to.equal(1);
			expect(holder).to.be.an("object");
		});

		it("do not stop each other, or the listeners, by throwing: that becomes a warning", () => {
			const steps: string[] = [];
			const fail = (what: string) => () => {
				throw new Error(what);
			};
			hold({ discardInherited: fail("discard"), announce: fail("announce") });
			hold({ discardInherited: () => steps.push("discarded"), announce: () => steps.push("announced") });
			listen(fail("listener"));
			listen(() => {
				throw "a text";
			});
			listen(() => steps.push("heard"));
			const warnings = warningsOf(reportProcessChange);
			expect(steps).to.deep.equal(["discarded", "announced", "heard"]);
			expect(warnings.map(({ message }) => message)).to.deep.equal(["discard", "announce", "listener", "a text"]);
		});

		it("are held weakly, and told nothing once they are collected", async () => {
			let count = 0;
			const reference = ((): WeakRef<ConnectionHolder> => {
				const holder: ConnectionHolder = { discardInherited: () => count++ };
				registerHolder(holder);
				reportProcessChange();
				return new WeakRef(holder);
			})();
			expect(await survivors([reference])).to.equal(0);
			reportProcessChange();
			expect(count).to.equal(1);
		});

		it("do not keep a pool alive that nobody holds", async () => {
			const reference = await (async () => new WeakRef((await setUpIdle(1)).pool))();
			expect(await survivors([reference])).to.equal(0);
		});

		it("that ask another pool while they discard get none of its inherited connections", async () => {
			const first = await setUpIdle(1);
			const second = await setUpIdle(2);
			const acquired: Promise<unknown>[] = [];
			first.driver.onDiscard = () => acquired.push(second.pool.acquire());
			reportProcessChange();
			expect(acquired).to.have.lengthOf(1);
			expect(second.idle).not.to.include(await acquired[0]);
			expect(second.driver.discarded).to.have.members(second.idle).and.to.have.lengthOf(2);
			expect(second.pool.stats()).to.include({ used: 1, total: 1 });
		});

		it("that report another change while they discard leave the others in the last generation", async () => {
			const first = await setUpIdle(1);
			const { pool, idle, driver } = await setUpIdle(1);
			const acquired: Promise<unknown>[] = [];
			first.driver.onDiscard = () => {
				reportProcessChange();
				acquired.push(pool.acquire());
			};
			reportProcessChange();
			expect(acquired).to.have.lengthOf(1);
			expect(idle).not.to.include(await acquired[0]);
			expect(driver.discarded).to.deep.equal(idle);
			expect(pool.stats()).to.include({ used: 1, total: 1, generation: knownGeneration() });
		});
	});

	describe("of two loaded copies", () => {
		it("is one: they count the same generations, and tell each other's holders and listeners", async () => {
			const directory = mkdtempSync(join(tmpdir(), "forksafe-copy-"));
			cleanUps.push(() => rmSync(directory, { recursive: true }));
			cpSync(new URL("../src/", import.meta.url), directory, { recursive: true });
			writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
			const copy = (await import(pathToFileURL(join(directory, "index.ts")).href)) as typeof core;
			expect(copy.currentGeneration).not.to.equal(currentGeneration);
			expect(copy.currentGeneration()).to.equal(currentGeneration());
			const heard: string[] = [];
			cleanUps.push(copy.onProcessChange(() => heard.push("copy")));
			listen(() => heard.push("original"));
			hold({ discardInherited: () => heard.push("holder") });

			const change = copy.reportProcessChange();
			expect(heard).to.deep.equal(["holder", "copy", "original"]);
			expect([currentGeneration(), lastProcessChange()]).to.deep.equal([change.generation, change]);

			const next = reportProcessChange();
			expect([copy.knownGeneration(), copy.lastProcessChange()]).to.deep.equal([next.generation, next]);
			expect(heard).to.have.lengthOf(6);
		});
	});

	describe("on a process that pretends to be another one", () => {
		const fake = new FakeProcess();
		const truePid = truePidOn(process.platform).read();

		before(function () {
			if (process.platform === "win32") this.skip();
		});

		afterEach(() => fake.restore());

		it("asks the kernel only when the tripwire fires", () => {
			fake.setPid(truePid);
			currentGeneration();
			currentGeneration();
			expect(fake.asked).to.equal(0);
			fake.setParent(1);
			currentGeneration();
			expect(fake.asked).to.equal(1);
			currentGeneration();
			expect(fake.asked).to.equal(1);
		});

		it("sees no fork in a new parent alone: the old one has died", () => {
			const generation = currentGeneration();
			listen(() => expect.fail("nothing has changed"));
			fake.setParent(1);
			expect(currentGeneration()).to.equal(generation);
		});

		it("sees the fork, with both pids, though process.pid still names the parent", () => {
			const generation = currentGeneration();
			const { pid } = process;
			fake.fork(990_010, truePid);
			expect(currentGeneration()).to.equal(generation + 1);
			expect(process.pid).to.equal(pid);
			expect(lastProcessChange()).to.deep.equal({
				cause: "fork",
				previousPid: truePid,
				pid: 990_010,
				previousGeneration: generation,
				generation: generation + 1,
			});
			expect(currentGeneration()).to.equal(generation + 1);
		});

		it("sees the fork of a fork", () => {
			fake.fork(990_011, truePid);
			currentGeneration();
			fake.fork(990_012, 990_011);
			currentGeneration();
			expect(lastProcessChange()).to.include({ previousPid: 990_011, pid: 990_012 });
		});

		it("sees with afterFork what the tripwire cannot see, once", () => {
			const generation = currentGeneration();
			fake.setPid(990_013);
			expect(currentGeneration()).to.equal(generation);
			expect(afterFork()).to.include({ cause: "fork", previousPid: truePid, pid: 990_013 });
			expect(afterFork()).to.equal(undefined);
			expect(currentGeneration()).to.equal(generation + 1);
		});

		it("sees with afterFork a child in another PID namespace that has its parent's pid there, once", function () {
			if (process.platform !== "linux") this.skip();
			const generation = currentGeneration();
			fake.setNamespace("pid:[990017]");
			fake.setPid(truePid);
			expect(currentGeneration()).to.equal(generation);
			expect(afterFork()).to.include({ cause: "fork", previousPid: truePid, pid: truePid });
			expect(afterFork()).to.equal(undefined);
			expect(currentGeneration()).to.equal(generation + 1);
		});

		it("takes a PID namespace that cannot be read for the same", () => {
			listen(() => expect.fail("nothing has changed"));
			fake.setNamespace("");
			fake.setPid(truePid);
			expect(afterFork()).to.equal(undefined);
		});

		it("counts a change once that the application reports before anybody has looked", () => {
			const generation = currentGeneration();
			fake.fork(990_015, truePid);
			const { pid } = process;
			Object.defineProperty(process, "pid", { value: 990_015, configurable: true, enumerable: true, writable: true });
			try {
				expect(reportProcessChange()).to.include({ cause: "reported", previousPid: truePid, pid: 990_015 });
				expect(currentGeneration()).to.equal(generation + 1);
				expect(afterFork()).to.equal(undefined);
			} finally {
				Object.defineProperty(process, "pid", { value: pid, configurable: true, enumerable: true, writable: true });
			}
		});

		it("asks for nothing in knownGeneration", () => {
			const generation = knownGeneration();
			fake.fork(990_014, truePid);
			expect(knownGeneration()).to.equal(generation);
			expect(fake.asked).to.equal(0);
		});

		it("reports the true pid", () => {
			fake.setPid(990_015);
			expect(reportProcessChange()).to.include({ cause: "reported", pid: 990_015 });
			expect(afterFork()).to.equal(undefined);
		});

		it("takes a new process.pid for a restored snapshot", () => {
			const descriptor = Object.getOwnPropertyDescriptor(process, "pid") as PropertyDescriptor;
			const { pid } = process;
			const changes: ProcessChange[] = [];
			listen((change) => changes.push(change));
			try {
				Object.defineProperty(process, "pid", { ...descriptor, value: pid + 1 });
				fake.setPid(990_016);
				currentGeneration();
				currentGeneration();
				expect(changes).to.have.lengthOf(1);
				expect(at(changes, 0)).to.include({ cause: "snapshot", previousPid: truePid, pid: 990_016 });
			} finally {
				Object.defineProperty(process, "pid", descriptor);
			}
		});
	});
});

describe("true pid", () => {
	it("is read at little cost on Linux and Windows only", () => {
		const cheap = (["linux", "win32", "darwin", "freebsd"] as const).map((platform) => truePidOn(platform).isCheap);
		expect(cheap).to.deep.equal([true, true, false, false]);
	});

	for (const platform of ["linux", "darwin", "win32"] as const) {
		it(`is this process's, the way it is asked for on ${platform}`, () => {
			expect(truePidOn(platform).read()).to.equal(process.pid);
		});
	}

	it("tells PID namespaces apart on Linux only", () => {
		expect(truePidOn("darwin").readNamespace()).to.equal("");
		expect(truePidOn("win32").readNamespace()).to.equal("");
		if (process.platform === "linux") expect(truePidOn("linux").readNamespace()).to.match(/^pid:\[\d+\]$/);
	});

	it("leaves the settings of diagnostic reports as they are", () => {
		const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean };
		const before = report.excludeNetwork;
		truePidOn("darwin").read();
		expect(report.excludeNetwork).to.equal(before);
	});
});
