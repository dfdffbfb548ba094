/**
 * Which Kysely a run is over: the catalog's, or with FORKSAFE_KYSELY=0.28 the one that is installed as `kysely-0.28`. Has to be
 * loaded before anything that imports Kysely (`require` of mocha, `--import` of Node).
 */
import { readFileSync } from "node:fs";
import { redirectImports } from "./redirect-imports.ts";

const { FORKSAFE_KYSELY: asked = "0.29" } = process.env;

// Its migrations are not in a module of their own yet.
if (asked !== "0.29") redirectImports(/^kysely(\/migration)?$/, `kysely-${asked}`);

/**
 * The version in full of the copy that somebody has loaded.
 *
 * @param entry what `import.meta.resolve("kysely")` says there
 * @throws Error when it is not the one that was asked for
 */
export function kyselyVersion(entry: string): string {
	const { version } = JSON.parse(readFileSync(new URL(entry.replace(/\/dist\/.*$/, "/package.json")), "utf8"));
	if (!version.startsWith(`${asked}.`)) throw new Error(`Kysely ${version} is loaded, and ${asked} was asked for`);
	return version;
}

/** The one that was asked for has abort signals, and cancels queries. */
export const hasAbortSignals = asked !== "0.28";
