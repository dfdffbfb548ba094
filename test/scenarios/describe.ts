/**
 * The contract (ARCHITECTURE.md): scenarios through pools of ours, over transports. One program for each pool and transport, some at
 * a time; each `it` waits for what its program says of one scenario.
 */
import { availableParallelism } from "node:os";
import pLimit from "p-limit";
import type { Face } from "../faces/face.ts";
import { postgresUrl, type Route } from "../support/server-urls.ts";
import { needsForks, skipWithReason } from "../support/skip.ts";
import { scenariosFor } from "./index.ts";
import { runScenarios, type Verdict } from "./run.ts";
import { hooksOf } from "./scenario.ts";
import type { Subject } from "./subjects.ts";

const PROGRAM_DEADLINE_MILLIS = 240_000;
/** They wait for timers and servers most of the time. */
const someAtATime = pLimit(1 + availableParallelism());

/** The verdicts of one program, as they come. */
class Verdicts {
	readonly #promises = new Map<string, PromiseWithResolvers<Verdict>>();

	of(scenario: string, hook: boolean): PromiseWithResolvers<Verdict> {
		const key = `${scenario}, ${hook}`;
		const promise = this.#promises.get(key) ?? Promise.withResolvers<Verdict>();
		this.#promises.set(key, promise);
		return promise;
	}

	noMore(reason: Error): void {
		for (const { promise, reject } of this.#promises.values()) {
			promise.catch(() => {});
			reject(reason);
		}
	}
}

/**
 * Every scenario of each. All programs are started when the first scenario is run: what can be chosen (`--grep`) without running the
 * rest has a title of its own.
 */
export function describeScenarios(title: string, given: readonly Subject[]): void {
	const subjects = given.map((subject) => ({ ...subject, verdicts: new Verdicts() }));

	describe(title, function () {
		this.timeout(PROGRAM_DEADLINE_MILLIS);

		before(needsForks);
		before("start the programs", () => {
			for (const { face, transport, imports = [], hook, verdicts } of subjects) {
				if (!isOffered(face, transport)) continue;
				const onVerdict = (verdict: Verdict): void => verdicts.of(verdict.scenario, verdict.hook).resolve(verdict);
				void someAtATime(async () => {
					const result = await runScenarios(face, {
						transport,
						imports,
						hook,
						deadlineMillis: PROGRAM_DEADLINE_MILLIS,
						onVerdict,
					});
					const how = result.timedOut ? "was killed at its deadline" : `ended (${result.signal ?? result.exitCode})`;
					verdicts.noMore(new Error(`the program ${how} without a word about this scenario:\n${result.output}`));
				});
			}
		});

		for (const { face, transport, imports = [], hook: only, verdicts } of subjects) {
			describe(`through ${[face.name, ...imports].join(" with ")}, over ${transport}`, () => {
				before(function () {
					if (isOffered(face, transport)) return;
					skipWithReason(this, `the given PostgreSQL cannot be reached over ${transport} from here`);
				});

				for (const scenario of scenariosFor(face)) {
					const { name, contract, notHere, unpooled } = scenario;
					for (const hook of hooksOf(scenario, only)) {
						const title = `${name} [${hook ? "with" : "without"} afterFork(), contract ${contract.join(", ")}]`;
						const { promise } = verdicts.of(name, hook);
						it(title, async function () {
							const reason = notHere?.() ?? (transport === "PgBouncer" ? unpooled : undefined);
							if (reason !== undefined) return skipWithReason(this, reason);
							const { error } = await promise;
							if (error !== undefined) throw new Error(error);
						});
					}
				}
			});
		}
	});
}

function isOffered({ library }: Face, transport: Route): boolean {
	return library === "core" || transport === "PgBouncer" || postgresUrl(transport) !== undefined;
}
