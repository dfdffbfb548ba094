import { expect } from "chai";
import pLimit from "p-limit";
import { ask } from "../faces/postgres-view.ts";
import { CONSUMER_TRACES, type Refusals, type Verdict } from "./consumer.ts";
import { runProgram } from "./program.ts";
import { postgresUrl } from "./server-urls.ts";
import { needsForks } from "./skip.ts";

/** A library, and what is known of it. */
export interface Tried {
	readonly name: string;
	/** One that calls `runConsumer`. */
	readonly program: URL;
	/** What it makes of our errors: see {@link Refusals}. */
	readonly refused: Refusals;
}

const RUNS_AT_MOST = 5;
/** Programs: they mostly wait. */
const someAtATime = pLimit(3);

/** Tests for each library: over our Pool a fork does no harm, with the hook and without it; over pg's it does. */
export function describeConsumers(consumers: readonly Tried[]): void {
	const runs = consumers.map((consumer) => ({
		...consumer,
		hook: Promise.withResolvers<Said>(),
		"no-hook": Promise.withResolvers<Said>(),
		harm: Promise.withResolvers<string | undefined>(),
	}));

	before(needsForks);
	before("start the programs", async () => {
		await ask(postgresUrl("TCP") ?? "", CONSUMER_TRACES);
		for (const { program, harm, ...run } of runs) {
			for (const hook of ["hook", "no-hook"] as const) {
				void someAtATime(() => runOnce(program, ["OURS", hook])).then(run[hook].resolve, run[hook].reject);
			}
			void someAtATime(() => harmOf(program)).then(harm.resolve, harm.reject);
		}
	});

	for (const { name, refused, harm, ...run } of runs) {
		describe(`${name}, forked amid its work`, () => {
			for (const hook of ["hook", "no-hook"] as const) {
				it(`works on in parent and child, over forksafe's Pool, ${hook === "hook" ? "with" : "without"} afterFork()`, async () => {
					const { verdict, output } = await run[hook].promise;
					expect(verdict, output).to.deep.equal({ refused });
				});
			}

			it("takes harm over pg's Pool", async () => {
				expect(await harm.promise).to.match(/./);
			});
		});
	}
}

interface Said {
	/** Undefined when it did not come to its end. */
	readonly verdict: Verdict | undefined;
	readonly output: string;
}

async function runOnce(program: URL, args: readonly string[]): Promise<Said> {
	const { reports, output } = await runProgram(program, { deadlineMillis: 60_000, args });
	const own = reports.find(({ process, kind }) => process === "program" && kind === "report");
	return { verdict: own?.kind === "report" ? (own.value as Verdict) : undefined, output };
}

/** What went wrong in the first of some runs in which something did: a race of two copies may end well. */
async function harmOf(program: URL): Promise<string | undefined> {
	for (let run = 0; run < RUNS_AT_MOST; run++) {
		const { verdict, output } = await runOnce(program, ["PLAIN", "no-hook"]);
		// One that had not even come to its fork proves nothing.
		if (verdict === undefined) throw new Error(`no verdict: ${output}`);
		if (verdict.harm !== undefined) return verdict.harm;
	}
	return undefined;
}
