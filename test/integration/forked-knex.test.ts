/**
 * What Knex documents, in a parent and in its forked child at the same time: over both versions of Knex, with a call of
 * `afterFork()` in the child and without it. Without forksafe, each of it goes wrong.
 */
import { expect } from "chai";
import pLimit from "p-limit";
import { runProgram } from "../support/program.ts";
import { needsForks } from "../support/skip.ts";

const program = new URL("../programs/forked-knex.ts", import.meta.url);
const cases = [
	"transactions",
	"streams",
	"time-outs",
	"cancel",
	"schema",
	"migrations",
	"migrations without transactions",
	"migrations in flight",
	"migrations in flight, without transactions",
];

const RUNS_AT_MOST = 5;
/** They mostly wait for answers that do not come. */
const someAtATime = pLimit(4);
/** What a plain Knex must fail with, where it can be told beforehand. */
const PROOF: Record<string, RegExp> = { cancel: /^queries that go on: expected \+?0 to equal 1/ };

/** What the program says of each case that it came to. */
async function verdicts(args: readonly string[], deadlineMillis: number): Promise<Map<string, string>> {
	const { reports, output } = await runProgram(program, { deadlineMillis, args });
	const said = reports.filter(({ kind, process }) => kind === "report" && process === "program");
	const values = said.map((each) => (each.kind === "report" ? each.value : undefined) as { name: string; verdict: string });
	return new Map([...values.map(({ name, verdict }) => [name, verdict] as const), ["output", output]]);
}

describe("a fork with Knex", function () {
	this.timeout(120_000);
	before(needsForks);

	for (const version of ["3.3", "3.1"]) {
		for (const hook of ["hook", "no-hook"]) {
			describe(`${version}, ${hook === "hook" ? "with" : "without"} afterFork() in the child`, () => {
				let said: Map<string, string>;
				before(async () => {
					said = await verdicts([version, "OURS", hook, ...cases], 90_000);
				});

				for (const name of cases) {
					it(`harms nothing in parent and child: ${name}`, () => {
						expect(said.get(name), said.get("output")).to.equal("ok");
					});
				}
			});
		}
	}

	describe("and without forksafe", () => {
		const harms = new Map<string, Promise<string | undefined>>();
		before("start the programs", () => {
			for (const name of cases)
				harms.set(
					name,
					someAtATime(() => harm(name)),
				);
		});

		for (const name of cases) {
			it(`does harm: ${name}`, async () => {
				const verdict = await harms.get(name);
				expect(verdict).to.match(PROOF[name] ?? /./);
			});
		}
	});
});

/** What went wrong in the first of some runs in which something did: a race of two copies may end well. */
async function harm(name: string): Promise<string | undefined> {
	for (let run = 0; run < RUNS_AT_MOST; run++) {
		const said = await verdicts(["3.3", "PLAIN", "no-hook", name], 15_000);
		if (said.get(name) !== "ok") return said.get(name);
	}
	return undefined;
}
