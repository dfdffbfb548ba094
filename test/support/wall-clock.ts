/** A wall clock that a test can set, for one process only: libfaketime stands between the process and the kernel's. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./throw-away.ts";

/**
 * The environment for a process whose time of day is what {@link setWallClock} says. Its other clocks, and so its timers, are
 * the kernel's: of those, no kernel lets anybody set one.
 *
 * @param file to be read by that process at every look at the time
 * @returns undefined where there is no libfaketime, and it cannot be installed
 */
export async function withOwnWallClock(file: string): Promise<Record<string, string> | undefined> {
	installed ??= install();
	const library = await installed;
	if (library === undefined) return undefined;
	setWallClock(file, 0);
	return {
		LD_PRELOAD: library,
		FAKETIME_TIMESTAMP_FILE: file,
		FAKETIME_NO_CACHE: "1",
		FAKETIME_DONT_FAKE_MONOTONIC: "1",
	};
}

/** So many seconds before or after the true time, from now on. */
export function setWallClock(file: string, seconds: number): void {
	writeFileSync(file, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}s`);
}

/** Debian's package puts it where the dynamic linker does not look. */
function libfaketime(): string | undefined {
	if (process.platform !== "linux") return undefined;
	const found = readdirSync("/usr/lib", { withFileTypes: true })
		.filter((entry) => entry.isDirectory() && entry.name.endsWith("-linux-gnu"))
		.flatMap(({ name }) => filesOf(join("/usr/lib", name, "faketime")));
	return found.find((path) => path.endsWith("/libfaketime.so.1"));
}

function filesOf(directory: string): string[] {
	try {
		return readdirSync(directory).map((name) => join(directory, name));
	} catch {
		return [];
	}
}

let installed: Promise<string | undefined> | undefined;

async function install(): Promise<string | undefined> {
	const found = libfaketime();
	if (found !== undefined || process.platform !== "linux") return found;
	const sudo = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
	const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
	try {
		for (const args of [["update"], ["install", "-y", "--no-install-recommends", "libfaketime"]]) {
			const [command = "", ...rest] = [...sudo, "apt-get", "-qq", ...args];
			await run(command, rest, { env, maxBuffer: 16 * 1024 * 1024, timeout: 60_000 });
		}
	} catch {
		return undefined;
	}
	return libfaketime();
}
