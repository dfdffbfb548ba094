import { existsSync, readFileSync, writeFileSync } from "node:fs";
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

/** More than what any clock here can tell. */
const DIGITS = 6;

/** @returns none where there is no such file */
export function readRecords(path: string): PartRecord[] {
	return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
}

/** Each replaces the one of the same part; what was not measured now stays as it is. */
export function mergeRecords(path: string, measured: readonly PartRecord[]): void {
	const others = readRecords(path).filter(({ part }) => !measured.some((one) => one.part === part));
	const lines = [...others, ...measured].map((record) => JSON.stringify(record, round));
	writeFileSync(path, `[\n${lines.join(",\n")}\n]\n`);
}

function round(_key: string, value: unknown): unknown {
	return typeof value === "number" ? Number(value.toPrecision(DIGITS)) : value;
}
