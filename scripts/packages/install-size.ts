/** How much comes into an application's `node_modules` with a package. Peers are the application's own. */
import { readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { readManifest, type WorkspacePackage, workspacePackages } from "./workspace-package.ts";

export interface InstallSize {
	/** Of the unpacked package alone. */
	readonly ownBytes: number;
	/** With all its dependencies; of those that are for some platforms, the ones that are installed here. */
	readonly totalBytes: number;
	/** How many packages come with it, of the repository or not. */
	readonly dependencies: number;
}

/**
 * @param unpacked where the packages of the repository lie unpacked: `@forksafe/NAME`
 */
export function installSize({ manifest, directory }: WorkspacePackage, unpacked: string): InstallSize {
	const found = new Map<string, number>();
	add(manifest.name, directory);
	const bytes = [...found.values()];
	const ownBytes = bytes[0] ?? 0;
	return { ownBytes, totalBytes: bytes.reduce((sum, each) => sum + each, 0), dependencies: bytes.length - 1 };

	function add(name: string, home: string): void {
		const key = realpathSync(home);
		if (found.has(key)) return;
		const isOurs = workspacePackages().some((each) => each.manifest.name === name);
		found.set(key, bytesOf(isOurs ? join(unpacked, name) : key));
		const { dependencies, optionalDependencies } = readManifest(key);
		for (const dependency of Object.keys(dependencies ?? {})) add(dependency, installed(key, dependency));
		for (const dependency of Object.keys(optionalDependencies ?? {})) {
			const optional = find(key, dependency);
			if (optional !== undefined) add(dependency, optional);
		}
	}
}

function installed(from: string, name: string): string {
	const directory = find(from, name);
	if (directory === undefined) throw new Error(`${name}, which ${from} depends on, is not installed: pnpm install`);
	return directory;
}

/** As Node looks for it. */
function find(from: string, name: string): string | undefined {
	const directory = join(from, "node_modules", name);
	if (statSync(directory, { throwIfNoEntry: false })) return directory;
	return dirname(from) === from ? undefined : find(dirname(from), name);
}

function bytesOf(directory: string): number {
	let bytes = 0;
	for (const entry of readdirSync(directory, { withFileTypes: true })) {
		if (entry.name === "node_modules") continue;
		const path = join(directory, entry.name);
		bytes += entry.isDirectory() ? bytesOf(path) : statSync(path).size;
	}
	return bytes;
}
