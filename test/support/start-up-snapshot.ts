/** Start-up snapshots of programs: bundled to the one file that Node takes, built, and started. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { run } from "./packed-packages.ts";
import { type ProgramOptions, type ProgramResult, runProgram } from "./program.ts";

/** As a program: called as a function, it prints what it thinks of the sections that Node has. */
const postject = fileURLToPath(import.meta.resolve("postject/dist/cli.js"));
/** Drivers that Knex and pg load when they are asked for, and that nobody asks for. */
const NOT_INSTALLED = ["better-sqlite3", "mariadb", "mysql", "oracledb", "pg-native", "sqlite3", "tedious"];
/** What a single executable is marked by, until it has something in it. */
const SENTINEL_FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
/** An executable of 120 MB is taken apart: 6 s, on a busy machine a minute. */
const INJECTION_MILLIS = 240_000;
/** As a program path: Node wants one, and the snapshot stands in its place. */
const NOTHING = "from-the-snapshot";

/** A program in one file, with room for what becomes of it. */
export class BundledProgram {
	readonly #directory = mkdtempSync(join(tmpdir(), "forksafe-snapshot-"));
	readonly #bundle = join(this.#directory, "bundle.cjs");
	/** Where the last snapshot was written, if it was. */
	readonly blob: string = join(this.#directory, "snapshot.blob");

	/** @throws Error when it cannot be bundled */
	static async of(program: URL): Promise<BundledProgram> {
		const bundled = new BundledProgram();
		await build({
			entryPoints: [fileURLToPath(program)],
			outfile: bundled.#bundle,
			bundle: true,
			platform: "node",
			format: "cjs",
			target: "node22.13",
			keepNames: true,
			conditions: ["@forksafe/source"],
			external: NOT_INSTALLED,
			logLevel: "error",
		});
		return bundled;
	}

	/** What builds a snapshot. */
	get buildCommand(): readonly [string, ...string[]] {
		return [process.execPath, "--snapshot-blob", this.blob, "--build-snapshot", this.#bundle];
	}

	/** What starts a process from the snapshot. */
	get startCommand(): readonly [string, ...string[]] {
		return [process.execPath, "--snapshot-blob", this.blob];
	}

	/** Builds a snapshot. One that was there is removed first. */
	build(options: ProgramOptions): Promise<ProgramResult> {
		rmSync(this.blob, { force: true });
		return runProgram(this.#bundle, withNodeArgs(options, "--snapshot-blob", this.blob, "--build-snapshot"));
	}

	/** Starts a process from the snapshot. */
	start(options: ProgramOptions): Promise<ProgramResult> {
		return runProgram(NOTHING, withNodeArgs(options, "--snapshot-blob", this.blob));
	}

	/**
	 * Builds a single executable with a snapshot in it.
	 *
	 * @returns its path
	 * @throws Error with what was printed, when it cannot be built
	 */
	async buildExecutable(env: NodeJS.ProcessEnv): Promise<string> {
		const executable = join(this.#directory, "executable");
		const blob = join(this.#directory, "executable.blob");
		const config = join(this.#directory, "executable.json");
		const canInject = (await run(process.execPath, ["--help"])).includes("--build-sea");
		const output = canInject ? executable : blob;
		writeFileSync(config, JSON.stringify({ main: this.#bundle, output, useSnapshot: true, disableExperimentalSEAWarning: true }));
		await run(process.execPath, [canInject ? "--build-sea" : "--experimental-sea-config", config], {
			env,
			timeout: INJECTION_MILLIS,
		});
		if (!canInject) {
			copyFileSync(process.execPath, executable);
			await run(process.execPath, [postject, executable, "NODE_SEA_BLOB", blob, "--sentinel-fuse", SENTINEL_FUSE], {
				timeout: INJECTION_MILLIS,
			});
		}
		return executable;
	}

	/** Removes its files. */
	remove(): void {
		rmSync(this.#directory, { recursive: true, force: true });
	}
}

function withNodeArgs(options: ProgramOptions, ...nodeArgs: readonly string[]): ProgramOptions {
	return { ...options, nodeArgs: [...nodeArgs, ...(options.nodeArgs ?? [])] };
}

/** What a program has reported. */
export function valuesOf<T>({ reports }: ProgramResult): T[] {
	return reports.flatMap((line) => (line.kind === "report" ? [line.value as T] : []));
}
