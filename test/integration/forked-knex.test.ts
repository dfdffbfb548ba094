/**
 * What Knex documents, in a parent and in its forked child at the same time: over both versions of Knex, with a call of
 * `afterFork()` in the child and without it. Without forksafe, each of it goes wrong.
 */
import { expect } from "chai";
import pLimit from "p-limit";
import { needsForks } from "../support/skip.ts";
import { harmIn, type Verdicts, verdictsOf } from "../support/verdicts.ts";

const program = new URL("../programs/forked-knex.ts", import.meta.url);
/** Knex 3.1 has no `connectionPool`. */
const casesOf33 = ["a pool of pg", "a pool that two share"];
const casesOfBoth = [
	"transactions",
	"streams",
	"time-outs",
	"cancel",
	"schema",
	"migrations",
	"migrations without transactions",
	"migrations in flight",
	"migrations in flight, without transactions",
	"seeds",
	"search path",
	"settings that expire",
];
const cases = [...casesOfBoth, ...casesOf33];

/** Programs: they mostly wait. */
const someAtATime = pLimit(3);
/** What a plain Knex must fail with, where it can be told beforehand. */
const PROOF: Record<string, RegExp> = { cancel: /^queries that go on: expected \+?0 to equal 1/ };

const ours = ["3.3", "3.1"].flatMap((version) =>
	["hook", "no-hook"].map((hook) => {
		const names = version === "3.3" ? cases : casesOfBoth;
		return { version, hook, names, said: Promise.withResolvers<Verdicts>() };
	}),
);
const plain = cases.map((name) => ({ name, harm: Promise.withResolvers<string | undefined>() }));

describe("a fork with Knex", function () {
	this.timeout(120_000);
	before(needsForks);
	before("start the programs", () => {
		for (const { version, hook, names, said } of ours) {
			void someAtATime(() => verdicts([version, "OURS", hook, ...names], 100_000)).then(said.resolve, said.reject);
		}
		for (const { name, harm } of plain) void someAtATime(() => harmOf(name)).then(harm.resolve, harm.reject);
	});

	for (const { version, hook, names, said } of ours) {
		describe(`${version}, ${hook === "hook" ? "with" : "without"} afterFork() in the child`, () => {
			for (const name of names) {
				it(`harms nothing in parent and child: ${name}`, async () => {
					const { verdict, output } = await said.promise;
					expect(verdict.get(name), output).to.equal("ok");
				});
			}
		});
	}

	describe("and without forksafe", () => {
		for (const { name, harm } of plain) {
			it(`does harm: ${name}`, async () => {
				expect(await harm.promise).to.match(PROOF[name] ?? /./);
			});
		}
	});
});

function verdicts(args: readonly string[], deadlineMillis: number): Promise<Verdicts> {
	return verdictsOf(program, { deadlineMillis, args });
}

function harmOf(name: string): Promise<string | undefined> {
	return harmIn(name, () => verdicts(["3.3", "PLAIN", "no-hook", name], 15_000));
}
