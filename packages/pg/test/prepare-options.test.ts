import { OptionError } from "@forksafe/core";
import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { Client, Pool, type PoolConfig, presetDefaults } from "../src/index.ts";

describe("prepare, the option", () => {
	const wrong: [unknown, option: string, text: string][] = [
		["yes", "prepare", "must be true, false or an object with max and minUses"],
		[1, "prepare", "must be true, false or an object"],
		[[], "prepare", "must be true, false or an object"],
		[{ maximum: 5 }, "maximum", ""],
		[{ max: 0 }, "prepare.max", "must be a whole number, 1 or more"],
		[{ max: 1.5 }, "prepare.max", "must be a whole number"],
		[{ max: "5" }, "prepare.max", "must be a whole number"],
		[{ max: null }, "prepare.max", "must be a whole number"],
		[{ minUses: 0 }, "prepare.minUses", "must be a whole number"],
		[{ minUses: Number.POSITIVE_INFINITY }, "prepare.minUses", "must be a whole number"],
	];
	for (const [prepare, option, text] of wrong) {
		it(`refuses ${JSON.stringify(prepare)}, in a pool and in a client`, () => {
			const config = { prepare } as PoolConfig;
			for (const error of [thrown(() => new Pool(config)), thrown(() => new Client(config))]) {
				expect(error).to.be.instanceOf(OptionError).and.to.include({ option });
				expect(error.message).to.include(text);
			}
		});
	}

	it("takes the others", () => {
		for (const prepare of [true, false, undefined, {}, { max: 1 }, { minUses: 1 }, { max: 5, minUses: undefined }]) {
			new Pool({ prepare });
			new Client({ prepare });
		}
	});

	it("is refused for replication, whose sessions have no statements", () => {
		const error = thrown(() => new Pool({ prepare: true, replication: "database" } as PoolConfig));
		expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "prepare" });
		new Pool({ prepare: true, replication: false } as PoolConfig);
	});

	it("is refused behind a transaction pooler, and says what to do behind one that can do it", () => {
		const preset = "transaction-pooler";
		for (const prepare of [true, {}, { max: 5 }]) {
			const error = thrown(() => new Pool({ preset, prepare }));
			expect(error).to.be.instanceOf(OptionError).and.to.include({ option: "prepare" });
			expect(error.message).to.include("max_prepared_statements").and.to.include('presetDefaults("transaction-pooler")');
		}
		new Pool({ preset, prepare: false });
		const pool = new Pool({ ...presetDefaults(preset), prepare: true });
		expect(pool["core"].options).to.include({ validateAfterIdleMillis: 0, maxLifetimeMillis: 1_800_000 });
	});
});
