/** The workflows of GitHub, which run nowhere else: whether they can be read, and ask for what there is. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { root } from "../../test/support/packed-packages.ts";
import { readManifest } from "./workspace-package.ts";

/** pnpm's own commands that they use. */
const OF_PNPM = ["install", "exec"];
const COMMAND = /\bpnpm(?:@\d+)? (?:(--filter) )?(\S+)(?: (\S+))?/g;

/** @returns what is not right */
export function workflowComplaints(): string[] {
	const directory = join(root, ".github/workflows");
	return readdirSync(directory).flatMap((file) => {
		try {
			return complaintsAbout(file, parse(readFileSync(join(directory, file), "utf8")));
		} catch (error) {
			return [`.github/workflows/${file} cannot be read: ${String(error)}`];
		}
	});
}

function complaintsAbout(file: string, workflow: unknown): string[] {
	const { permissions, jobs } = workflow as { permissions?: unknown; jobs?: object };
	const complaints: string[] = [];
	if (permissions === undefined) complaints.push("has no top-level permissions, and would have all");
	if (Object.keys(jobs ?? {}).length === 0) complaints.push("has no jobs");
	for (const text of stringsIn(jobs)) {
		for (const [command, filter, first = "", second = ""] of text.matchAll(COMMAND)) {
			const scripts = scriptsOf(filter === undefined ? root : packageDirectory(first));
			const name = filter === undefined ? first : second;
			if (!OF_PNPM.includes(name) && !scripts.includes(name)) complaints.push(`runs \`${command}\`, and there is no such script`);
		}
	}
	return complaints.map((complaint) => `.github/workflows/${file} ${complaint}`);
}

function stringsIn(value: unknown): string[] {
	if (typeof value === "string") return [value];
	return typeof value === "object" && value !== null ? Object.values(value).flatMap(stringsIn) : [];
}

function packageDirectory(name: string): string {
	return join(root, "packages", name.replace("@forksafe/", ""));
}

function scriptsOf(directory: string): string[] {
	return Object.keys(readManifest(directory).scripts ?? {});
}
