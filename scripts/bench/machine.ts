import { readFileSync, realpathSync } from "node:fs";
import { findPackageJSON } from "node:module";
import os from "node:os";
import process from "node:process";
import { withServer } from "./bench-server.ts";

/** What a measurement is true of. */
export interface Machine {
	readonly system: string;
	readonly processors: string;
	readonly gigabytes: number;
	/** Of the last minute, before it began: how many others wanted a processor. */
	readonly load: number;
	readonly node: string;
	readonly postgres: string;
	/** Of each library that takes part. */
	readonly versions: Readonly<Record<string, string>>;
}

const LIBRARIES = [
	"tarn",
	"pg-pool",
	"generic-pool",
	"lightning-pool",
	"pg",
	"knex",
	"kysely",
	"postgres",
	"slonik",
	"pg-promise",
	"@forksafe/core",
	"@forksafe/pg",
	"@forksafe/knex",
	"@forksafe/kysely",
	"@forksafe/sentinel",
];

/** This one, as it is now. */
export async function describeMachine(): Promise<Machine> {
	const cpus = os.cpus();
	const load = os.loadavg()[0] ?? 0;
	return {
		system: `${os.type()} ${os.release()} ${os.arch()}`,
		processors: `${cpus.length} x ${cpus[0]?.model.trim() ?? "unknown processor"}`,
		gigabytes: Math.round(os.totalmem() / 2 ** 30),
		load,
		node: `${process.version} (V8 ${process.versions.v8})`,
		postgres: await withServer(10, async ({ version }) => version),
		versions: Object.fromEntries(LIBRARIES.map((name) => [name, versionOf(name)])),
	};
}

export function machineLine({ system, processors, gigabytes, load, node, postgres }: Machine): string {
	return `Node ${node}, PostgreSQL ${postgres}, ${system}, ${processors}, ${gigabytes} GB, load ${load.toFixed(1)} before it began`;
}

/** @throws Error when it is not installed */
function versionOf(name: string): string {
	// It comes with pg.
	const path = name === "pg-pool" ? findPackageJSON(name, realpathSync(packageOf("pg"))) : packageOf(name);
	return JSON.parse(readFileSync(path ?? "", "utf8")).version;
}

function packageOf(name: string): string {
	const path = findPackageJSON(name, import.meta.url);
	if (path === undefined) throw new Error(`${name} is not installed`);
	return path;
}
