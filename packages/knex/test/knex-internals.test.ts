import { createRequire } from "node:module";
import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import type { KnexClientClass } from "../src/index.ts";
import { assertKnexInternals, PG_DIALECTS, pgDialect } from "../src/knex-internals.ts";

describe("what is relied on inside Knex", () => {
	for (const name of PG_DIALECTS) {
		it(`is there in the client of ${name}`, () => {
			assertKnexInternals(pgDialect(name) as KnexClientClass);
		});
	}

	for (const member of [
		"_driver",
		"_acquireOnlyConnection",
		"acquireRawConnection",
		"getPoolSettings",
		"initializePool",
		"runner",
	]) {
		it(`is missed by name when ${member} is gone`, () => {
			class Future extends (pgDialect("pg") as KnexClientClass) {}
			Object.defineProperty(Future.prototype, member, { value: undefined });
			expect(thrown(() => assertKnexInternals(Future)))
				.to.be.instanceOf(Error)
				.with.property(
					"message",
					`@forksafe/knex relies on ${member} of Knex's client, which this version of Knex does not have`,
				);
		});
	}

	it("is missed by name when it is gone from the Runner", () => {
		const Runner = createRequire(import.meta.url)("knex/lib/execution/runner.js") as { prototype: { stream: unknown } };
		const { stream } = Runner.prototype;
		Runner.prototype.stream = undefined;
		const error = thrown(() => assertKnexInternals(pgDialect("pg") as KnexClientClass));
		Runner.prototype.stream = stream;
		expect(error.message).to.include("relies on stream of Knex's Runner");
	});

	it("is missed all at once", () => {
		class Future {}
		expect(thrown(() => assertKnexInternals(Future as unknown as KnexClientClass)))
			.to.have.property("message")
			.that.includes("_driver, _acquireOnlyConnection, acquireRawConnection, getPoolSettings, initializePool");
	});
});
