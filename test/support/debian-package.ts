import { existsSync } from "node:fs";
import { run } from "./throw-away.ts";

/** A server that Debian packages, and the places where it may be. */
export interface DebianPackage {
	readonly name: string;
	/** Debian does not put servers on the path of an ordinary user. */
	readonly binaries: readonly string[];
}

/**
 * The program of a package, which is installed by apt where it is missing.
 *
 * @returns its path
 * @throws Error naming the package, when it is missing and cannot be installed
 */
export async function installed({ name, binaries }: DebianPackage): Promise<string> {
	if (!binaries.some(existsSync)) await install(name);
	const binary = binaries.find(existsSync);
	if (binary === undefined) throw new Error(`there is none of ${binaries.join(", ")}, also after ${name} was installed`);
	return binary;
}

async function install(name: string): Promise<void> {
	const sudo = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
	const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
	try {
		for (const args of [["update"], ["install", "-y", "--no-install-recommends", name]]) {
			const [command = "", ...rest] = [...sudo, "apt-get", "-qq", ...args];
			await run(command, rest, { env, maxBuffer: 16 * 1024 * 1024 });
		}
	} catch (error) {
		throw new Error(`${name} is missing, and cannot be installed: install Debian's package ${name}`, { cause: error });
	}
}
