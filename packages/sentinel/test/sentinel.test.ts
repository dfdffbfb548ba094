import { expect } from "chai";
import { runProgram } from "../../../test/support/program.ts";
import { needsForks } from "../../../test/support/skip.ts";
import { mapWipedPage } from "../src/wiped-page.ts";

const disguisedChild = new URL("./programs/disguised-child.ts", import.meta.url);
const reads = new URL("./programs/reads.ts", import.meta.url);
const withoutKoffi = new URL("./programs/without-koffi.ts", import.meta.url);

/** What the program has reported. */
async function reported(program: URL, ...args: string[]): Promise<unknown> {
	const { reports, output } = await runProgram(program, { deadlineMillis: 15_000, args });
	const own = reports.find(({ process, kind }) => process === "program" && kind === "report");
	if (own?.kind !== "report") throw new Error(output);
	return own.value;
}

const unnoticed = { generation: 0, cause: null };
const first = { generation: 1, cause: "fork" };
const second = { generation: 2, cause: "fork" };

describe("the sentinel", () => {
	before(needsForks);

	it("notices a child and its child that look exactly like their parent, each once", async () => {
		expect(await reported(disguisedChild, "true")).to.deep.equal({
			inChildren: [first, first, second],
			inParent: unnoticed,
		});
	});

	it("is what notices them: without it, nobody does", async () => {
		expect(await reported(disguisedChild, "false")).to.deep.equal({
			inChildren: [unnoticed, unnoticed, unnoticed],
			inParent: unnoticed,
		});
	});

	it("spares the system call of every look", async () => {
		expect(await reported(reads, "true")).to.equal(0);
		expect(await reported(reads, "false")).to.equal(1_000);
	});

	it("says once why it cannot be had, and core notices a fork as before", async () => {
		expect(await reported(withoutKoffi)).to.deep.equal({
			unavailableBecause: "koffi cannot be loaded",
			inChild: 1,
			warnings: [
				{
					name: "ForkSafeWarning",
					message: "@forksafe/sentinel is not used: koffi cannot be loaded. Forks are noticed by process.ppid.",
					code: "FORKSAFE_SENTINEL",
				},
			],
		});
	});
});

describe("a page that is wiped", () => {
	before(needsForks);

	it("is marked, and can be marked again", () => {
		const page = mapWipedPage();
		expect(page.isWiped()).to.equal(false);
		page.mark();
		expect(page.isWiped()).to.equal(false);
	});

	it("is not to be had elsewhere than on Linux", () => {
		const { platform } = process;
		Object.defineProperty(process, "platform", { value: "darwin", configurable: true, enumerable: true });
		try {
			expect(() => mapWipedPage()).to.throw("it needs Linux, and this is darwin");
		} finally {
			Object.defineProperty(process, "platform", { value: platform, configurable: true, enumerable: true });
		}
	});
});
