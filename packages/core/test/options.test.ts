import { inspect } from "node:util";
import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { defaultPoolOptions, OptionError, Pool, type PoolOptions } from "../src/index.ts";
import { GatedDriver } from "./support/gated-driver.ts";

const notWholeNumbers = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, true, 2 ** 53];
const notDurations = [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "1", null, true];

const bad: Record<keyof PoolOptions, readonly unknown[]> = {
	name: [5, null],
	min: notWholeNumbers,
	max: [...notWholeNumbers, 0],
	maxPending: notWholeNumbers,
	acquireTimeoutMillis: notDurations,
	connectTimeoutMillis: notDurations,
	validateTimeoutMillis: notDurations,
	destroyTimeoutMillis: notDurations,
	connectHeadStartMillis: notDurations,
	maxConnecting: notWholeNumbers,
	validateAfterIdleMillis: notDurations,
	idleTimeoutMillis: notDurations,
	maxLifetimeMillis: notDurations,
	maxUses: notWholeNumbers,
	leakThresholdMillis: notDurations,
	maintenanceIntervalMillis: [...notDurations, 0],
	permits: [5, null, {}, { acquire: () => {} }, { release: () => {} }],
	processWatch: ["sometimes", true, null],
	onProcessChange: ["log it", null, {}],
	log: [true, null, console],
	clock: [0, null, Date],
	random: [0.5, null],
};

describe("options", () => {
	for (const [option, values] of Object.entries(bad)) {
		for (const value of values) {
			it(`refuses ${option}: ${inspect(value, { depth: -1 })}`, () => {
				const error = refused({ [option]: value });
				expect(error).to.include({ code: "ERR_FORKSAFE_OPTION", option });
				expect(error.value).to.satisfy((kept: unknown) => Object.is(kept, value));
				expect(error.message).to.include(`option ${option} (`).and.to.include("must be ");
			});
		}
	}

	it("refuses a min above max, whichever of them was given", () => {
		expect(refused({ min: 5, max: 4 })).to.include({ option: "min", value: 5 });
		expect(refused({ min: 5, max: 4 }).message).to.include("option min (5) must not be above max (4)");
		expect(refused({ min: 11 }).message).to.include("max (10)");
		expect(make({ min: 4, max: 4 }).options).to.include({ min: 4, max: 4 });
	});

	it("shows numbers in the message, and what is expected instead", () => {
		expect(refused({ max: 0 }).message).to.equal("option max (0) must be a whole number, 1 or more");
		expect(refused({ idleTimeoutMillis: -5 }).message)
			.to.include("(-5)")
			.and.to.include("0: off");
		expect(refused({ processWatch: "sometimes" }).message).to.include('"always", "once" or "off"');
	});

	it("refuses options that do not exist, and names the known one that looks like it", () => {
		const expected: Record<string, string> = {
			maxx: "max",
			Max: "max",
			mx: "max",
			acquireTimeoutMilis: "acquireTimeoutMillis",
			idletimeoutmillis: "idleTimeoutMillis",
			proceswatch: "processWatch",
		};
		for (const [option, known] of Object.entries(expected)) {
			expect(refused({ [option]: 1 }).message)
				.to.include(`option ${option} (`)
				.and.to.include(`did you mean ${known}?`);
		}
	});

	it("suggests nothing for an option that looks like none", () => {
		expect(refused({ connectionString: "postgres://" }).message)
			.to.include("does not exist")
			.and.not.to.include("did you mean");
	});

	it("refuses an unknown option also when its value is undefined", () => {
		expect(refused({ passwd: undefined })).to.include({ option: "passwd" });
	});

	it("refuses what is no object", () => {
		for (const options of [null, 5, "max=5", true]) expect(refused(options)).to.include({ option: "options" });
	});

	it("never prints a text that could be a secret", () => {
		const secret = "correct horse battery staple";
		for (const options of [{ pasword: secret }, { conection: { password: secret } }, { name: [secret] }, secret]) {
			const error = refused(options);
			for (const text of [error.message, String(error), error.stack, inspect(error), JSON.stringify(error)]) {
				expect(text).not.to.include("horse");
			}
		}
		expect(refused({ pasword: secret }).message).to.include("a string of 28 characters");
		expect(refused({ pasword: secret }).value).to.equal(secret);
	});

	it("counts undefined as not given", () => {
		const options = { max: undefined, min: undefined, clock: undefined, log: undefined } as unknown as PoolOptions;
		expect(make(options).options).to.deep.equal(defaultPoolOptions);
	});

	it("has the documented defaults", () => {
		expect(make(undefined).options).to.deep.include({
			name: "pool",
			min: 0,
			max: 10,
			maxPending: 0,
			acquireTimeoutMillis: 30_000,
			connectTimeoutMillis: 10_000,
			validateTimeoutMillis: 5_000,
			connectHeadStartMillis: 15,
			maxConnecting: 10,
			validateAfterIdleMillis: 1_000,
			destroyTimeoutMillis: 5_000,
			idleTimeoutMillis: 10_000,
			maxLifetimeMillis: 0,
			maxUses: 0,
			leakThresholdMillis: 0,
			maintenanceIntervalMillis: 1_000,
			processWatch: "always",
		});
	});

	it("takes the limits of what is allowed", () => {
		const options = {
			max: 1,
			maxUses: 0,
			idleTimeoutMillis: 2 ** 31 - 1,
			acquireTimeoutMillis: 0.5,
			maintenanceIntervalMillis: 1,
		};
		expect(make(options).options).to.include(options);
	});
});

function make(options: unknown): Pool<object> {
	return new Pool<object>(new GatedDriver() as never, options as PoolOptions);
}

function refused(options: unknown): OptionError {
	const error = thrown(() => make(options));
	if (!(error instanceof OptionError)) throw error;
	return error;
}
