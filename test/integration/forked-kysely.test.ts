/**
 * What Kysely documents, in a parent and in its forked child at the same time: over both versions of Kysely, by our dialect and by
 * Kysely's own over our pool, with a call of `afterFork()` in the child and without it. Without forksafe, each of it goes wrong:
 * test/proofs.
 */
import { expect } from "chai";
import pLimit from "p-limit";
import { forkedKysely, kyselyCases, kyselyVersion } from "../support/documented-cases.ts";
import { needsForks } from "../support/skip.ts";
import { type Verdicts, verdictsOf } from "../support/verdicts.ts";

/** Programs: they mostly wait. */
const someAtATime = pLimit(4);

const runs = (
	[
		["0.29", "OURS", "hook"],
		["0.29", "OURS", "no-hook"],
		["0.28", "OURS", "hook"],
		["0.28", "OURS", "no-hook"],
		["0.29", "OWN", "no-hook"],
	] as const
).map(([version, whose, hook]) => ({ version, whose, hook, said: Promise.withResolvers<Verdicts>() }));

describe("a fork with Kysely", function () {
	this.timeout(120_000);
	before(needsForks);
	before("start the programs", () => {
		for (const { version, whose, hook, said } of runs) {
			const options = {
				deadlineMillis: 100_000,
				args: [whose, hook, ...kyselyCases[version]],
				env: { FORKSAFE_KYSELY: version },
				nodeArgs: ["--import", kyselyVersion.href],
			};
			void someAtATime(() => verdictsOf(forkedKysely, options)).then(said.resolve, said.reject);
		}
	});

	for (const { version, whose, hook, said } of runs) {
		const how = whose === "OURS" ? "our dialect" : "Kysely's own dialect over our pool";
		describe(`${version}, ${how}, ${hook === "hook" ? "with" : "without"} afterFork() in the child`, () => {
			for (const name of kyselyCases[version]) {
				it(`harms nothing in parent and child: ${name}`, async () => {
					const { verdict, output } = await said.promise;
					expect(verdict.get(name), output).to.equal("ok");
				});
			}
		});
	}
});
