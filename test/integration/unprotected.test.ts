/**
 * The same scenarios through the pools that forksafe stands in for: each must fail, in a process of its own, or it proves
 * nothing. Where an unprotected pool comes through by its nature, the scenario says why, and is only counted.
 */
import { availableParallelism } from "node:os";
import pLimit from "p-limit";
import type { Face } from "../faces/face.ts";
import { faces } from "../faces/index.ts";
import { scenariosFor } from "../scenarios/index.ts";
import { runScenarios } from "../scenarios/run.ts";
import { needsForks } from "../support/skip.ts";

const DEADLINE_MILLIS = 15_000;
/** They mostly wait for answers that do not come. */
const limit = pLimit(3 * availableParallelism());

interface Attempt {
	readonly title: string;
	readonly harmless: string | undefined;
	readonly fails: PromiseWithResolvers<boolean>;
	start(): void;
}

const attempts = faces
	.filter(({ isProtected }) => !isProtected)
	.map((face) => ({
		face,
		attempts: scenariosFor(face).map(({ name, harmless, hooks = [false] }): Attempt => {
			const fails = Promise.withResolvers<boolean>();
			return {
				title: name,
				harmless,
				fails,
				start: () => void limit(() => isFailed(face, name, hooks[0] ?? false)).then(fails.resolve, fails.reject),
			};
		}),
	}));

describe("without forksafe, a fork", function () {
	this.timeout(120_000);
	const counts = { failed: 0, passed: 0, harmless: 0 };

	before(needsForks);
	before("start the programs", () => {
		for (const { start } of attempts.flatMap((each) => each.attempts)) start();
	});

	for (const { face, attempts: ofFace } of attempts) {
		describe(`through ${face.name}`, () => {
			for (const { title, harmless, fails } of ofFace) {
				const ending = harmless === undefined ? "does harm" : `need not do harm: ${harmless}`;
				it(`${title} - ${ending}`, async () => {
					const hasFailed = await fails.promise;
					if (hasFailed) counts.failed++;
					else if (harmless === undefined) counts.passed++;
					else counts.harmless++;
					if (!hasFailed && harmless === undefined) throw new Error(`${face.name} came through unharmed`);
				});
			}
		});
	}

	after(() => {
		const { failed, passed, harmless } = counts;
		const total = failed + passed + harmless;
		console.log(`    ${failed} of ${total} scenarios fail without forksafe, ${harmless} are harmless by nature, ${passed} pass`);
	});
});

async function isFailed(face: Face, scenario: string, hook: boolean): Promise<boolean> {
	const { verdicts, timedOut, output } = await runScenarios(face, {
		transport: "TCP",
		deadlineMillis: DEADLINE_MILLIS,
		only: { scenario, hook },
	});
	const [verdict] = verdicts;
	if (verdict !== undefined) return verdict.error !== undefined;
	// Hung, or crashed by what a scenario does to it. A program that could not start proves nothing.
	if (timedOut || !/SyntaxError|ERR_MODULE_NOT_FOUND|no face/.test(output)) return true;
	throw new Error(output);
}
