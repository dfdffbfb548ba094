import { expect } from "chai";
import { BundledProgram, valuesOf } from "../../../test/support/start-up-snapshot.ts";

describe("the sentinel in a start-up snapshot", function () {
	this.timeout(60_000);
	let program: BundledProgram;

	before("bundle the program", async () => {
		program = await BundledProgram.of(new URL("./programs/snapshot.ts", import.meta.url));
	});

	after(() => program?.remove());

	it("is not used, and says so while that is built", async () => {
		const { exitCode, output } = await program.build({ deadlineMillis: 20_000 });
		expect(exitCode, output).to.equal(0);
		expect(output).to.match(/FORKSAFE_SENTINEL.*is not used: a start-up snapshot is being built/);
		const [self] = valuesOf<object>(await program.start({ deadlineMillis: 20_000 }));
		expect(self).to.deep.equal({
			generation: 1,
			unavailableBecause: "a start-up snapshot is being built, and mapped memory cannot be in it",
		});
	});
});
