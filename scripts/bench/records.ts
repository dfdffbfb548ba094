import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Effort } from "./effort.ts";
import type { Machine } from "./machine.ts";

/** One part as it was measured, with where and how. */
export interface PartRecord {
	readonly part: string;
	/** The day and time in UTC. */
	readonly at: string;
	readonly seconds: number;
	readonly command: string;
	readonly machine: Machine;
	readonly effort: Effort;
	readonly results: unknown;
}

/** What the report is made of. */
export const PUBLISHED = fileURLToPath(new URL("../../docs/benchmarks/results.json", import.meta.url));

/** More than what any clock here can tell. */
const DIGITS = 6;

/** @returns none where there is no such file */
export function readRecords(path: string): PartRecord[] {
	return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
}

/** It replaces the one of the same part; what was not measured now stays as it is. */
export function mergeRecord(path: string, measured: PartRecord): void {
	const others = readRecords(path).filter(({ part }) => part !== measured.part);
	const lines = [...others, measured].map((record) => JSON.stringify(record, round));
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, `[\n${lines.join(",\n")}\n]\n`);
}

function round(_key: string, value: unknown): unknown {
	return typeof value === "number" ? Number(value.toPrecision(DIGITS)) : value;
}
