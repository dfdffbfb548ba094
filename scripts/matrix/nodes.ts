/** Every Node that is supported, by exact version: the newest of each line, and the oldest. They are installed into `scripts/nodes`. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** A Node to run something with. */
export interface SupportedNode {
	/** What it is asked for by: `"22"`, `"22.13"`. */
	readonly name: string;
	readonly version: string;
	/** Its executable. */
	readonly path: string;
	/** The directory of its executable, for PATH. */
	readonly directory: string;
	/** What it has to be told before it runs TypeScript. */
	readonly flags: readonly string[];
}

const home = fileURLToPath(new URL("../nodes/", import.meta.url));
/** From here on types are stripped without a flag. */
const STRIPS_TYPES = { major: 22, minor: 18 };
const INSTALL_DEADLINE_MILLIS = 600_000;

/**
 * Installs the Nodes where they are missing, with the hashes of their lockfile.
 *
 * @param names none for all
 * @throws Error where there is none for this platform, or none of that name
 */
export function supportedNodes(names: readonly string[] = []): SupportedNode[] {
	const offered = offeredNodes();
	for (const name of names) {
		if (!offered.has(name)) throw new Error(`--node must be ${[...offered.keys()].join(" or ")}: ${name}`);
	}
	execFileSync("pnpm", ["install", "--frozen-lockfile", "--silent"], {
		cwd: home,
		timeout: INSTALL_DEADLINE_MILLIS,
		stdio: ["ignore", "ignore", "inherit"],
	});
	return [...offered].filter(([name]) => names.length === 0 || names.includes(name)).map(([, node]) => node);
}

function offeredNodes(): Map<string, SupportedNode> {
	const { optionalDependencies } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as {
		optionalDependencies: Record<string, string>;
	};
	const platform = `${process.platform}-${process.arch}-`;
	const nodes = new Map<string, SupportedNode>();
	const aliases = Object.entries(optionalDependencies).filter(([alias]) => alias.startsWith(platform));
	aliases.sort(([, one], [, other]) => one.localeCompare(other, "en", { numeric: true }));
	for (const [alias, specifier] of aliases) {
		const name = alias.slice(platform.length);
		const version = specifier.slice(specifier.lastIndexOf("@") + 1);
		const path = join(home, "node_modules", alias, "bin/node");
		nodes.set(name, { name, version, path, directory: dirname(path), flags: flagsOf(version) });
	}
	if (nodes.size === 0)
		throw new Error(`the other Nodes are there for Linux on x64 and arm64, and this is ${platform.slice(0, -1)}`);
	return nodes;
}

function flagsOf(version: string): string[] {
	const [major = 0, minor = 0] = version.split(".").map(Number);
	const strips = major > STRIPS_TYPES.major || (major === STRIPS_TYPES.major && minor >= STRIPS_TYPES.minor);
	// It would say of each program that this is an experiment, and tests look at what programs say.
	return strips ? [] : ["--experimental-strip-types", "--disable-warning=ExperimentalWarning"];
}
