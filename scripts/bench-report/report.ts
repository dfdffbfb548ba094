import { type Machine, machineLine } from "../bench/machine.ts";
import type { PartRecord } from "../bench/records.ts";
import { asMarkdown, markdownTable, type Section, tableOf } from "../bench/section.ts";
import { type Target, targetTable } from "../bench/target.ts";

export interface MeasuredSection {
	readonly record: PartRecord;
	readonly section: Section;
}

/** The whole report, in Markdown. */
export function reportOf(sections: readonly MeasuredSection[]): string {
	const targets = sections.flatMap(({ section }) => section.targets);
	return `${[
		"# Benchmarks",
		"<!-- Made by `npx -y pnpm@12 bench-report` of results.json: change nothing here. -->",
		"How fast are forksafe's pools and adapters, beside the pools and libraries that they take the place of? `npx -y pnpm@12 bench` measures it anew (`--only` takes parts of it); times depend on the machine, so what counts are the ratios. No time is asserted by a test.",
		"## How it is measured",
		METHOD,
		...machines(sections),
		...(targets.length === 0 ? [] : targetSection(targets)),
		...sections.map(({ record, section }) => `${asMarkdown(section)}\n\n${provenance(record)}`),
	].join("\n\n")}\n`;
}

function targetSection(targets: readonly Target[]): string[] {
	const table = targetTable(targets);
	return ["## Targets", `${table.title}.`, markdownTable(table)];
}

const METHOD = [
	"- What is compared is measured in turn, each round in another order: what else the machine does meets all of them. Ratios are taken within a round.",
	"- A number in front of brackets is a median, and in the brackets is its exact (binomial) interval of 95 %; of fewer than six values they are the least and the greatest. Whiskers in the pictures are the same.",
	"- Pools over connections that do nothing run in a fresh process for each pool, workload and round. Libraries over PostgreSQL run in a process each, which takes its slices of time when it is told to.",
	"- Everything is warmed up: pools by 20,000 operations at the least, libraries by 10,000 statements; only the cold start is cold.",
	"- Bytes per operation are counted with a young generation of 512 MB, in which nothing is collected; the run says so where something was.",
	"- CPU is that of all threads of the process that asks, with collections and compilation. PostgreSQL runs on the same machine and is the same for all, `fsync` off.",
	"- What users install is measured: the built packages.",
].join("\n");

function machines(sections: readonly MeasuredSection[]): string[] {
	const lines = new Map(sections.map(({ record: { machine } }) => [machineLine({ ...machine, load: 0 }), machine]));
	return [...lines.values()].flatMap((machine) => [withoutLoad(machine), versionTable(machine)]);
}

function withoutLoad({ system, processors, gigabytes, node, postgres }: Machine): string {
	return `Machine: ${processors}, ${gigabytes} GB, ${system}; Node ${node}; PostgreSQL ${postgres}.`;
}

function versionTable({ versions }: Machine): string {
	return markdownTable(tableOf("", ["library", "version"], Object.entries(versions)));
}

function provenance({ at, seconds, command, machine }: PartRecord): string {
	const day = at.slice(0, 16).replace("T", " ");
	return `Measured ${day} UTC in ${seconds} s by \`${command}\`; the machine's load was ${machine.load.toFixed(1)} before it began.`;
}
