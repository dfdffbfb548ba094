import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import Mocha from "mocha";

/** mocha's spec reporter; for `.ci/run` and the matrix it also leaves a {@link TestReport} in the directory FORKSAFE_TEST_REPORTS. */
export class CountingReporter extends Mocha.reporters.Spec {
	constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
		super(runner, options);
		const directory = process.env["FORKSAFE_TEST_REPORTS"];
		if (!directory) return;
		// A package may run more than once.
		const name = `${basename(process.cwd())}-${process.pid}`;
		runner.once("end", () => {
			const failures = this.failures.map((failure) => failure.fullTitle());
			const report: TestReport = { node: process.version, stats: this.stats as Mocha.Stats, failures };
			writeFileSync(join(directory, `${name}.json`), JSON.stringify(report));
		});
	}
}

/** What a run leaves behind. */
export interface TestReport {
	/** The version of the Node that ran it, as in `v24.21.0`. */
	readonly node: string;
	readonly stats: Mocha.Stats;
	/** The titles of what failed. */
	readonly failures: readonly string[];
}

// The name under which mocha looks for a reporter.
export { CountingReporter as default };
