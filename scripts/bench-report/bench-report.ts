/** `node bench-report/bench-report.ts [--from FILE] [--to DIRECTORY]`: makes the report and its pictures of what `bench --publish` has kept. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { partNames, sectionOf } from "../bench/parts.ts";
import { PUBLISHED, readRecords } from "../bench/records.ts";
import { commandLine } from "../command-line.ts";
import { drawChart } from "./drawing.ts";
import { type MeasuredSection, reportOf } from "./report.ts";

const { from, to } = commandLine({
	from: { type: "string", default: PUBLISHED },
	to: { type: "string", default: fileURLToPath(new URL("../../docs/benchmarks/", import.meta.url)) },
});
const records = readRecords(from);
if (records.length === 0)
	throw new Error(`nothing was measured yet: ${from} is not there; "npx -y pnpm@12 bench --publish" makes it`);
const sections = partNames
	.flatMap((name) => records.filter(({ part }) => part === name))
	.map((record): MeasuredSection => ({ record, section: sectionOf(record) }));
mkdirSync(to, { recursive: true });
writeFileSync(join(to, "README.md"), reportOf(sections));
for (const chart of sections.flatMap(({ section }) => section.charts)) {
	writeFileSync(join(to, `${chart.name}.svg`), await drawChart(chart));
}
const missing = partNames.filter((name) => records.every(({ part }) => part !== name));
if (missing.length > 0) console.log(`not in the report, as not measured: ${missing.join(", ")}`);
