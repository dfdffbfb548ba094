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

/** Tests for each library: over our Pool a fork does no harm; over pg's it does. */
export function describeConsumers(consumers: readonly Tried[]): void {
	const runs = consumers.map((consumer) => ({
		...consumer,
		ours: Promise.withResolvers<Said>(),
		plain: Promise.withResolvers<Verdict>(),
	}));

	before(needsForks);
	before("start the programs", async () => {
		await ask(postgresUrl("TCP") ?? "", CONSUMER_TRACES);
		for (const { program, ours, plain } of runs) {
			void someAtATime(() => runOnce(program, "OURS")).then(ours.resolve, ours.reject);
			void someAtATime(() => runPlain(program)).then(plain.resolve, plain.reject);
		}
	});

	for (const { name, refused, ours, plain } of runs) {
		describe(`${name}, forked amid its work`, () => {
			it("works on in the parent and in its children over forksafe's Pool, with afterFork() and without it", async () => {
				const { verdict, output } = await ours.promise;
				const { harm: _, ...made } = await plain.promise;
				expect(verdict, output).to.deep.equal({ ...made, refused: { hook: refused, "no-hook": refused } });
			});

			it("takes harm over pg's Pool", async () => {
				expect((await plain.promise).harm).to.match(/./);
			});
		});
	}
}

interface Said {
	/** Undefined when it did not come to its end. */
	readonly verdict: Verdict | undefined;
	readonly output: string;
}

async function runOnce(program: URL, whose: "OURS" | "PLAIN"): Promise<Said> {
	const { reports, output } = await runProgram(program, { deadlineMillis: 60_000, args: [whose] });
	const own = reports.find(({ process, kind }) => process === "program" && kind === "report");
	return { verdict: own?.kind === "report" ? (own.value as Verdict) : undefined, output };
}

/** The first of some runs in which something goes wrong: a race of two copies may end well. */
async function runPlain(program: URL): Promise<Verdict> {
	for (let run = 1; ; run++) {
		const { verdict, output } = await runOnce(program, "PLAIN");
		// One that had not even come to its fork proves nothing.
		if (verdict === undefined) throw new Error(`no verdict: ${output}`);
		if (verdict.harm !== undefined || run === RUNS_AT_MOST) return verdict;
	}
}
