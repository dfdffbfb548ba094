import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import Mocha from "mocha";

/** mocha's spec reporter; for `.ci/run` it also leaves the counts of the run in the directory FORKSAFE_TEST_REPORTS. */
export class CountingReporter extends Mocha.reporters.Spec {
	constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
		super(runner, options);
		const directory = process.env["FORKSAFE_TEST_REPORTS"];
		if (!directory) return;
		// A package may run more than once.
		const name = `${basename(process.cwd())}-${process.pid}`;
		runner.once("end", () => {
			writeFileSync(join(directory, `${name}.json`), JSON.stringify({ stats: this.stats }));
		});
	}
}

// The name under which mocha looks for a reporter.
export { CountingReporter as default };
