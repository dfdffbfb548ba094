/** A published package, as it lies in the repository. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type PackageName, packageNames, root } from "../../test/support/packed-packages.ts";

export interface WorkspacePackage {
	/** Without the scope. */
	readonly name: PackageName;
	readonly directory: string;
	readonly manifest: Manifest;
}

/** What is read of a package.json. */
export interface Manifest {
	readonly name: string;
	readonly version: string;
	readonly exports?: Readonly<Record<string, string | { readonly types: string }>>;
	readonly dependencies?: Readonly<Record<string, string>>;
	readonly optionalDependencies?: Readonly<Record<string, string>>;
	readonly scripts?: Readonly<Record<string, string>>;
}

export function workspacePackages(): WorkspacePackage[] {
	return packageNames.map((name) => {
		const directory = join(root, "packages", name);
		return { name, directory, manifest: readManifest(directory) };
	});
}

export function readManifest(directory: string): Manifest {
	return JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
}
