/**
 * What Knex documents, in a parent and in its forked child at the same time: over both versions of Knex, with a call of
 * `afterFork()` in the child and without it. Without forksafe, each of it goes wrong: test/proofs.
 */
import { expect } from "chai";
import pLimit from "p-limit";
import { forkedKnex, knexCases } from "../support/documented-cases.ts";
import { needsForks } from "../support/skip.ts";
import { type Verdicts, verdictsOf } from "../support/verdicts.ts";

/** Programs: they mostly wait. */
const someAtATime = pLimit(4);

const runs = (["3.3", "3.1"] as const).flatMap((version) =>
	["hook", "no-hook"].map((hook) => ({ version, hook, said: Promise.withResolvers<Verdicts>() })),
);

describe("a fork with Knex", function () {
	this.timeout(120_000);
	before(needsForks);
	before("start the programs", () => {
		for (const { version, hook, said } of runs) {
			const args = [version, "OURS", hook, ...knexCases[version]];
			void someAtATime(() => verdictsOf(forkedKnex, { deadlineMillis: 100_000, args })).then(said.resolve, said.reject);
		}
	});

	for (const { version, hook, said } of runs) {
		describe(`${version}, ${hook === "hook" ? "with" : "without"} afterFork() in the child`, () => {
			for (const name of knexCases[version]) {
				it(`harms nothing in parent and child: ${name}`, async () => {
					const { verdict, output } = await said.promise;
					expect(verdict.get(name), output).to.equal("ok");
				});
			}
		});
	}
});
