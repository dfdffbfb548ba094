import { truncateSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { FakeVmClock, type VmClockFields } from "../../../test/support/vm-clock.ts";
import { currentGeneration, lastProcessChange, processSignals, reportProcessChange, useVmClock } from "../src/index.ts";
import { VmClock } from "../src/vm-clock.ts";
import { setUp, setUpIdle } from "./support/set-up.ts";

describe("vmclock", () => {
	let device: FakeVmClock;

	beforeEach(() => {
		device = new FakeVmClock();
	});

	afterEach(() => device.remove());

	it("tells once when the machine was started from a saved state", () => {
		const clock = new VmClock(device.path);
		expect(clock.flaw).to.equal(undefined);
		expect(clock.hasChanged()).to.equal(false);
		device.write({ generation: 2n ** 63n + 1n, sequence: 2 });
		expect([clock.hasChanged(), clock.hasChanged()]).to.deep.equal([true, false]);
		device.write({ generation: 2n ** 63n + 2n, sequence: 4 });
		clock.reset();
		expect(clock.hasChanged()).to.equal(false);
	});

	it("is not impressed by a live migration, which is no clone", () => {
		const clock = new VmClock(device.path);
		device.write({ sequence: 2, flags: 0x10an });
		expect(clock.hasChanged()).to.equal(false);
	});

	const garbage: Record<string, [VmClockFields, RegExp]> = {
		"another magic number": [{ magic: 1 }, /no vmclock/],
		"a version that is not known": [{ version: 2 }, /version is 2/],
		"too small a structure": [{ size: 104 }, /hypervisor does not tell/],
		"no generation": [{ flags: 0xffn }, /hypervisor does not tell/],
		"an update that never ends": [{ sequence: 3 }, /always being updated/],
	};
	for (const [name, [fields, flaw]] of Object.entries(garbage)) {
		it(`says nothing with ${name}, and goes by what it said before when that is over`, () => {
			const clock = new VmClock(device.path);
			device.write({ ...fields, generation: 7n });
			expect(clock.hasChanged()).to.equal(false);
			expect(clock.flaw).to.match(flaw);
			device.write({ generation: 0n });
			expect(clock.hasChanged()).to.equal(false);
			device.write({ ...fields, generation: 7n });
			clock.hasChanged();
			device.write({ generation: 7n });
			expect(clock.hasChanged()).to.equal(true);
			expect(clock.flaw).to.equal(undefined);
		});
	}

	it("says nothing about what it has never read, and takes its first word for what is", () => {
		device.write({ magic: 1 });
		const clock = new VmClock(device.path);
		device.write({ generation: 5n });
		expect(clock.hasChanged()).to.equal(false);
		device.write({ generation: 6n });
		expect(clock.hasChanged()).to.equal(true);
	});

	it("says why there is none", () => {
		expect(new VmClock(`${device.path}-1`).flaw).to.equal("there is no such device");
		expect(new VmClock("/").flaw).to.match(/cannot be read \(EISDIR\)/);
		truncateSync(device.path, 50);
		expect(new VmClock(device.path).flaw).to.match(/shorter than 112/);
		writeFileSync(device.path, "this is certainly not what a hypervisor would write".repeat(10));
		expect(new VmClock(device.path).flaw).to.match(/./);
	});
});

describe("a cloned machine", () => {
	let device: FakeVmClock;

	beforeEach(() => {
		device = new FakeVmClock();
		useVmClock(device.path);
	});

	afterEach(() => {
		useVmClock("/dev/vmclock0");
		device.remove();
	});

	it("is noticed by the maintenance tick, once", async () => {
		const { pool, driver, idle, clock } = await setUpIdle(2);
		const before = currentGeneration();
		device.write({ generation: 1n });
		await clock.advance(pool.options.maintenanceIntervalMillis);
		expect(driver.discarded).to.have.members(idle);
		expect(lastProcessChange()).to.deep.include({ cause: "clone", generation: before + 1 });
		expect(lastProcessChange()?.pid).to.equal(lastProcessChange()?.previousPid);
		pool.maintain();
		expect(currentGeneration()).to.equal(before + 1);
		await pool.close();
	});

	it("is noticed before the server is asked about a connection", async () => {
		const { pool, driver, idle } = await setUpIdle(1, { stopsAt: ["validate"] });
		device.write({ generation: 1n });
		await pool.acquire().catch(() => {});
		expect(driver.validations).to.have.lengthOf(0);
		expect(driver.discarded).to.deep.equal(idle);
		await pool.close();
	});

	it("is looked at by no acquire", async () => {
		const { pool } = setUp();
		const before = currentGeneration();
		device.write({ generation: 1n });
		pool.release(await pool.acquire());
		expect(currentGeneration()).to.equal(before);
		await pool.close();
	});

	it("is not noticed twice when somebody has reported it", async () => {
		const { pool } = setUp();
		device.write({ generation: 1n });
		const { generation } = reportProcessChange();
		pool.maintain();
		expect(currentGeneration()).to.equal(generation);
		await pool.close();
	});
});

describe("processSignals", () => {
	const named = (name: string) => processSignals().find((signal) => signal.name === name);

	afterEach(() => useVmClock("/dev/vmclock0"));

	it("says which signals there are, and why others are not", () => {
		expect(named("process.pid")).to.include({ cause: "snapshot", isAvailable: true });
		expect(named("process.ppid")).to.include({ cause: "fork", isAvailable: process.platform !== "win32" });
		expect(named("true pid")).to.include({ cause: "fork", isAvailable: process.platform !== "win32" });
		expect(named("detector")).to.include({ cause: "fork", isAvailable: false });
	});

	it("says of a device that cannot be relied on that it is not available", () => {
		const device = new FakeVmClock();
		useVmClock(device.path);
		expect(named("vmclock")).to.include({ cause: "clone", isAvailable: true });
		device.write({ magic: 1 });
		useVmClock(device.path);
		expect(named("vmclock")).to.include({ isAvailable: false, detail: `${device.path}: it is no vmclock` });
		device.remove();
		useVmClock(device.path);
		expect(named("vmclock")).to.include({ isAvailable: false, detail: `${device.path}: there is no such device` });
	});
});
