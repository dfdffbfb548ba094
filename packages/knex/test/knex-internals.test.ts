import { createRequire } from "node:module";
import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import type { KnexClientClass } from "../src/index.ts";
import { assertKnexInternals, DIALECTS, dialectClass } from "../src/knex-internals.ts";
import { dialectOf31 } from "./support/subjects.ts";

const require = createRequire(import.meta.url);

describe("what is relied on inside Knex", () => {
	for (const name of ["postgres", "cockroachdb", "redshift"] as const) {
		it(`is there in the client of ${name} of Knex 3.1`, () => {
			assertKnexInternals(dialectOf31(name));
		});
	}

	for (const name of DIALECTS) {
		it(`is there in the client of ${name}`, () => {
			assertKnexInternals(dialectClass(name) as KnexClientClass);
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
			for (const Client of [dialectClass("pg") as KnexClientClass, dialectOf31("postgres")]) {
				class Future extends Client {}
				Object.defineProperty(Future.prototype, member, { value: undefined });
				expect(thrown(() => assertKnexInternals(Future)))
					.to.be.instanceOf(Error)
					.with.property(
						"message",
						`@forksafe/knex relies on ${member} of Knex's client, which this version of Knex does not have`,
					);
			}
		});
	}

	for (const [copy, Client] of [
		["knex", dialectClass("pg") as KnexClientClass],
		["knex-3.1", dialectOf31("postgres")],
	] as const) {
		it(`is missed by name when it is gone from the Runner of ${copy}`, () => {
			const Runner = require(`${copy}/lib/execution/runner.js`) as { prototype: { stream: unknown } };
			const { stream } = Runner.prototype;
			Runner.prototype.stream = undefined;
			try {
				expect(thrown(() => assertKnexInternals(Client)).message).to.include("relies on stream of Knex's Runner");
			} finally {
				Runner.prototype.stream = stream;
			}
		});
	}

	it("is missed all at once", () => {
		class Future {}
		expect(thrown(() => assertKnexInternals(Future as unknown as KnexClientClass)))
			.to.have.property("message")
			.that.includes("_driver, acquireRawConnection, destroyRawConnection, getPoolSettings, initializePool");
	});
});
