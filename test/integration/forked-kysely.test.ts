/**
 * What Kysely documents, in a parent and in its forked child at the same time: over both versions of Kysely, by our dialect and by
 * Kysely's own over our pool, with a call of `afterFork()` in the child and without it. Without forksafe, each of it goes wrong.
 */
import { expect } from "chai";
import pLimit from "p-limit";
import { needsForks } from "../support/skip.ts";
import { harmIn, type Verdicts, verdictsOf } from "../support/verdicts.ts";

const program = new URL("../programs/forked-kysely.ts", import.meta.url);
const version = new URL("../support/kysely-version.ts", import.meta.url);
const everywhere = ["transactions", "streams", "hooks", "schema", "migrations", "migrations in flight", "destroy"];
/** 0.28 has no signals, and cancels nothing. */
const cases = { "0.28": everywhere, "0.29": [...everywhere, "cancel", "kill"] };

type Version = keyof typeof cases;

/** Programs: they mostly wait. */
const someAtATime = pLimit(4);
/** What a plain Kysely must fail with, where it can be told beforehand. */
const PROOF: Record<string, RegExp> = {
	cancel: /^queries that go on: expected \+?0 to equal 1/,
	kill: /^queries that go on: expected \+?0 to equal 1|^uncaught: .*terminat/,
};

const ours = (
	[
		["0.29", "OURS", "hook"],
		["0.29", "OURS", "no-hook"],
		["0.28", "OURS", "hook"],
		["0.28", "OURS", "no-hook"],
		["0.29", "OWN", "no-hook"],
	] as const
).map(([version, whose, hook]) => ({ version, whose, hook, said: Promise.withResolvers<Verdicts>() }));
const plain = cases["0.29"].map((name) => ({ name, harm: Promise.withResolvers<string | undefined>() }));

describe("a fork with Kysely", function () {
	this.timeout(120_000);
	before(needsForks);
	before("start the programs", () => {
		for (const { version, whose, hook, said } of ours) {
			const start = (): Promise<Verdicts> => verdicts(version, [whose, hook, ...cases[version]], 100_000);
			void someAtATime(start).then(said.resolve, said.reject);
		}
		for (const { name, harm } of plain) void someAtATime(() => harmOf(name)).then(harm.resolve, harm.reject);
	});

	for (const { version, whose, hook, said } of ours) {
		const how = whose === "OURS" ? "our dialect" : "Kysely's own dialect over our pool";
		describe(`${version}, ${how}, ${hook === "hook" ? "with" : "without"} afterFork() in the child`, () => {
			for (const name of cases[version]) {
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

function verdicts(kysely: Version, args: readonly string[], deadlineMillis: number): Promise<Verdicts> {
	const env = { FORKSAFE_KYSELY: kysely };
	return verdictsOf(program, { deadlineMillis, args, env, nodeArgs: ["--import", version.href] });
}

function harmOf(name: string): Promise<string | undefined> {
	return harmIn(name, () => verdicts("0.29", ["PLAIN", "no-hook", name], 15_000));
}
