/** The packages as they are published: built, packed by pnpm, and laid out where an application would have them. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Of the repository. */
export const root = fileURLToPath(new URL("../../", import.meta.url));
/** The compiler of the workspace. */
export const tsc = join(root, "node_modules/typescript/bin/tsc");

/** The packages of this repository, each after those that it is built on. */
export const packageNames = ["core", "pg", "mysql2", "knex", "kysely", "sentinel", "cluster"] as const;
export type PackageName = (typeof packageNames)[number];

/** What a program has printed, once it has ended well; with its output in the error, if it has not. */
export async function run(
	file: string,
	args: readonly string[],
	options: { cwd?: string; env?: NodeJS.ProcessEnv; timeout?: number } = {},
): Promise<string> {
	// Applications do without the flags by which an old Node runs these tests.
	const env = { ...(options.env ?? process.env), NODE_OPTIONS: "" };
	const result = await promisify(execFile)(file, args, { timeout: 60_000, ...options, env }).catch(
		(error: Error & { stdout: string; stderr: string }) => {
			throw new Error(`${error.message}\n${error.stdout}\n${error.stderr}`);
		},
	);
	return result.stdout;
}

/** Builds and packs all packages into the directory. */
export async function pack(directory: string): Promise<void> {
	for (const name of packageNames) {
		// A source file that is gone would leave what was built from it.
		rmSync(join(root, "packages", name, "dist"), { recursive: true, force: true });
		await run(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: join(root, "packages", name) });
	}
	await run("pnpm", ["--recursive", "--filter", "./packages/*", "pack", "--pack-destination", directory], { cwd: root });
}

/** What an application has in its `node_modules`: by name, a directory, absolute or from the root of the repository. */
export type Installed = Readonly<Record<string, string>>;

/** Unpacks all packages into the `node_modules` of an application, and links what else it has installed. */
export async function layOut(tarballs: string, application: string, installed: Installed): Promise<void> {
	const modules = join(application, "node_modules");
	for (const name of packageNames) await unpack(tarballs, name, join(modules, "@forksafe", name));
	for (const [name, target] of Object.entries(installed)) {
		mkdirSync(join(modules, name, ".."), { recursive: true });
		symlinkSync(realpathSync(resolve(root, target)), join(modules, name), "junction");
	}
}

/** Unpacks the package into a directory of its own. */
async function unpack(tarballs: string, name: PackageName, directory: string): Promise<void> {
	mkdirSync(directory, { recursive: true });
	await run("tar", ["-xzf", tarballOf(tarballs, name), "--strip-components=1", "-C", directory]);
}

/** The package in a directory that {@link pack} has filled. */
export function tarballOf(tarballs: string, name: PackageName): string {
	const tarball = readdirSync(tarballs).find((file) => file.startsWith(`forksafe-${name}-`));
	if (tarball === undefined) throw new Error(`no tarball of ${name} in ${tarballs}`);
	return join(tarballs, tarball);
}
