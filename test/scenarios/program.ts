/**
 * Runs scenarios over one face, in a process that may be forked:
 * `program.ts FACE URL TRANSPORT SCENARIO HOOK`, where an empty SCENARIO or HOOK stands for all. Reports each as
 * `{ scenario, hook, error? }`.
 */
import { inspect } from "node:util";
import { faces } from "../faces/index.ts";
import { pgBouncerView } from "../faces/pgbouncer-view.ts";
import { report } from "../support/report.ts";
import { nameSessions } from "../support/session-names.ts";
import { untilTrue } from "../support/until-true.ts";
import { scenariosFor } from "./index.ts";
import { Context, hooksOf, type Scenario } from "./scenario.ts";

/** An unprotected pool hangs often, and twice the time that a scenario takes tells as much as more. */
const DEADLINE_MILLIS = { protected: 20_000, unprotected: 8_000 };

const [faceName, url, transport, only = "", onlyHook = ""] = process.argv.slice(2);
const found = faces.find(({ name }) => name === faceName);
if (found === undefined || url === undefined) throw new Error(`no face ${faceName}, or no url`);

const isPooled = transport === "PgBouncer";
if (isPooled) nameSessions();
const face = isPooled ? { ...found, server: pgBouncerView } : found;

for (const scenario of scenariosFor(face)) {
	if (isPooled && scenario.unpooled !== undefined) continue;
	if (only !== "" && scenario.name !== only) continue;
	if (scenario.notHere?.() !== undefined) continue;
	for (const hook of hooksOf(scenario, onlyHook === "" ? undefined : onlyHook === "true")) {
		report({ scenario: scenario.name, hook, ...(await run(scenario, new Context(face, url, hook))) });
	}
}
process.exit();

async function run(scenario: Scenario, context: Context): Promise<{ millis: number; error?: string }> {
	const start = performance.now();
	const passed = scenario.run(context).then(() => true);
	const errors: unknown[] = [];
	const note = (error: unknown): void => void errors.push(error);
	const deadlineMillis = DEADLINE_MILLIS[context.face.isProtected ? "protected" : "unprotected"];
	await untilTrue(() => passed, { what: "the end of the scenario", deadlineMillis }).catch(note);
	await context.close().catch(note);
	const millis = performance.now() - start;
	const [error] = errors;
	if (error === undefined) return { millis };
	return { millis, error: error instanceof Error ? (error.stack ?? error.message) : inspect(error) };
}
