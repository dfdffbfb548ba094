/** What Knex and Kysely document, in a parent and in its forked child, over the plain libraries: each goes wrong. */
import { availableParallelism } from "node:os";
import { expect } from "chai";
import pLimit from "p-limit";
import { forkedKnex, forkedKysely, knexCases, kyselyCases, kyselyVersion } from "../support/documented-cases.ts";
import type { ProgramOptions } from "../support/program.ts";
import { needsForks } from "../support/skip.ts";
import { harmIn, verdictsOf } from "../support/verdicts.ts";

interface Library {
	readonly name: string;
	readonly program: URL;
	readonly cases: readonly string[];
	readonly options: Pick<ProgramOptions, "env" | "nodeArgs">;
	readonly args: readonly string[];
	/** What it must fail with, where it can be told beforehand. */
	readonly errors: Record<string, RegExp>;
}

const libraries: Library[] = [
	{
		name: "Knex",
		program: forkedKnex,
		cases: knexCases["3.3"],
		options: {},
		args: ["3.3", "PLAIN", "no-hook"],
		errors: { cancel: /^queries that go on: expected \+?0 to equal 1/ },
	},
	{
		name: "Kysely",
		program: forkedKysely,
		cases: kyselyCases["0.29"],
		options: { env: { FORKSAFE_KYSELY: "0.29" }, nodeArgs: ["--import", kyselyVersion.href] },
		args: ["PLAIN", "no-hook"],
		errors: {
			cancel: /^queries that go on: expected \+?0 to equal 1/,
			kill: /^queries that go on: expected \+?0 to equal 1|^uncaught: .*terminat/,
		},
	},
];
const DEADLINE_MILLIS = 15_000;
/** They mostly wait for answers that do not come. */
const someAtATime = pLimit(5 * availableParallelism());

for (const { name: library, program, cases, options, args, errors } of libraries) {
	describe(`without forksafe, what ${library} documents`, function () {
		this.timeout(120_000);
		const harms = new Map<string, Promise<string | undefined>>();

		before(needsForks);
		before("start the programs", () => {
			for (const name of cases) {
				const run = { ...options, deadlineMillis: DEADLINE_MILLIS, args: [...args, name] };
				const harm = someAtATime(() => harmIn(name, () => verdictsOf(program, run)));
				harm.catch(() => {}); // awaited below
				harms.set(name, harm);
			}
		});

		for (const name of cases) {
			it(`goes wrong in parent and child: ${name}`, async () => {
				expect(await harms.get(name)).to.match(errors[name] ?? /./);
			});
		}
	});
}
