/**
 * The same scenarios through the pools that forksafe stands in for: each must fail, in a process of its own, or it proves
 * nothing. Where an unprotected pool comes through by its nature, the scenario says why, and is only counted. Two copies of
 * one connection race, and a race may end well: a run that comes through is repeated a few times, and each run is counted.
 */
import { availableParallelism } from "node:os";
import pLimit from "p-limit";
import { faces } from "../faces/index.ts";
import { postgresView } from "../faces/postgres-view.ts";
import { scenariosFor } from "../scenarios/index.ts";
import { runScenarios } from "../scenarios/run.ts";
import type { Subject } from "../scenarios/subjects.ts";
import { needsForks, skipWithReason } from "../support/skip.ts";

const DEADLINE_MILLIS = 15_000;
const RUNS_AT_MOST = 5;
/** They mostly wait for answers that do not come. */
const limit = pLimit(5 * availableParallelism());

interface Attempt {
	readonly title: string;
	readonly harmless: string | undefined;
	readonly notHere: (() => string | undefined) | undefined;
	/** How many runs came through before one failed; undefined where none did. */
	readonly luck: PromiseWithResolvers<number | undefined>;
	start(): void;
}

/** Over TCP; and behind PgBouncer, where a shared connection is shared all the same. */
const subjects = faces
	.filter(({ isProtected }) => !isProtected)
	.flatMap((face) =>
		(face.server === postgresView ? (["TCP", "PgBouncer"] as const) : (["TCP"] as const)).map((transport) => ({
			face,
			transport,
		})),
	);

const attempts = subjects.map(({ face, transport }) => ({
	face,
	transport,
	attempts: scenariosFor(face)
		.filter(({ unpooled }) => transport === "TCP" || unpooled === undefined)
		.map(({ name, harmless, notHere, hooks = [false] }): Attempt => {
			const luck = Promise.withResolvers<number | undefined>();
			const runs = harmless === undefined ? RUNS_AT_MOST : 1;
			return {
				title: name,
				harmless,
				notHere,
				luck,
				start: () =>
					void limit(() => runsBeforeHarm(runs, { face, transport }, name, hooks[0] ?? false)).then(luck.resolve, luck.reject),
			};
		}),
}));

describe("without forksafe, a fork", function () {
	this.timeout(120_000);
	const counts = { failed: 0, passed: 0, harmless: 0, luckyRuns: 0 };

	before(needsForks);
	for (const { face, transport, attempts: ofFace } of attempts) {
		describe(`through ${face.name}, over ${transport}`, () => {
			before("start the programs", () => {
				for (const { start } of ofFace) start();
			});

			for (const { title, harmless, notHere, luck } of ofFace) {
				const ending = harmless === undefined ? "does harm" : `need not do harm: ${harmless}`;
				it(`${title} - ${ending}`, async function () {
					const reason = notHere?.();
					if (reason !== undefined) return skipWithReason(this, reason);
					const luckyRuns = await luck.promise;
					if (luckyRuns !== undefined) {
						counts.failed++;
						counts.luckyRuns += luckyRuns;
					} else if (harmless === undefined) {
						counts.passed++;
						throw new Error(`${face.name} came through unharmed ${RUNS_AT_MOST} times`);
					} else {
						counts.harmless++;
					}
				});
			}
		});
	}

	after(() => {
		const { failed, passed, harmless, luckyRuns } = counts;
		const total = failed + passed + harmless;
		console.log(`    ${failed} of ${total} scenarios fail without forksafe, ${harmless} are harmless by nature, ${passed} pass`);
		console.log(`    ${luckyRuns} runs came through by luck before one failed (${RUNS_AT_MOST} runs at most)`);
	});
});

async function runsBeforeHarm(runs: number, subject: Subject, scenario: string, hook: boolean): Promise<number | undefined> {
	for (let unharmed = 0; unharmed < runs; unharmed++) {
		if (await isFailed(subject, scenario, hook)) return unharmed;
	}
	return undefined;
}

async function isFailed({ face, transport }: Subject, scenario: string, hook: boolean): Promise<boolean> {
	const { verdicts, timedOut, output } = await runScenarios(face, {
		transport,
		deadlineMillis: DEADLINE_MILLIS,
		scenario,
		hook,
	});
	const [verdict] = verdicts;
	if (verdict !== undefined) return verdict.error !== undefined;
	// Hung, or crashed by what a scenario does to it. A program that could not start proves nothing.
	if (timedOut || !/SyntaxError|ERR_MODULE_NOT_FOUND|no face/.test(output)) return true;
	throw new Error(output);
}
