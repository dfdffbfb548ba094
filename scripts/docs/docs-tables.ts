/** Writes the generated tables into README.md and docs/: `pnpm docs-tables`. */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { exitOnSignals } from "../command-line.ts";
import { generatedPages } from "./pages.ts";

exitOnSignals();
for (const { path, file, is, shouldBe } of generatedPages()) {
	if (is !== shouldBe) writeFileSync(file, shouldBe);
	process.stdout.write(`${path}: ${is === shouldBe ? "as it was" : "written"}\n`);
}
