/** What README.md and docs/ say in tables is what the sources say. */
import { readdirSync, readFileSync } from "node:fs";
import * as core from "@forksafe/core";
import { expect } from "chai";
import { generatedPages } from "../../scripts/docs/pages.ts";

const root = new URL("../../", import.meta.url);
const sources = readdirSync(new URL("packages", root)).flatMap((name) => sourcesIn(`packages/${name}/src/`));

describe("the tables in the documents", () => {
	for (const { path, is, shouldBe } of generatedPages()) {
		it(`${path}: what is generated is up to date (npx -y pnpm@12 docs-tables)`, () => {
			expect(is).to.equal(shouldBe);
		});
	}

	describe("docs/errors.md", () => {
		const page = read("docs/errors.md");

		it("names every class of error with its code, and no other", () => {
			const declared = matchesOf(/^export class (\w+Error) extends ForkSafeError \{\n\treadonly code = "(\w+)";/gm);
			expect(cellsOf(page, /^\| `(\w+Error)` \| `(ERR_\w+)` \|/gm)).to.have.deep.members(declared);
			// A class of another form would not be found above.
			const classes = Object.keys(core).filter(
				(name) => name.endsWith("Error") && name !== "ForkSafeError" && /^[A-Z]/.test(name),
			);
			expect(declared.map(([name]) => name)).to.have.members(classes);
			expect(matchesOf(/class (\w+Error) /g).flat()).to.have.members([...classes, "ForkSafeError"]);
		});

		it("names every code that there is, and no other", () => {
			const codes = new Set(matchesOf(/\b(ERR_FORKSAFE_\w+)/g).flat());
			expect([...new Set(cellsOf(page, /\b(ERR_FORKSAFE_\w+)/g).flat())]).to.have.members([...codes]);
		});

		it("says of the short table of the README what it says itself", () => {
			const pairs = cellsOf(page, /^\| `(\w+Error)` \| `(ERR_\w+)` \|/gm);
			expect(cellsOf(read("README.md"), /^\| `(\w+Error)` \| `(ERR_\w+)` \|/gm)).to.have.deep.members(pairs);
		});

		it("names every channel, of its kind, and no other", () => {
			const declared = matchesOf(/\b(tracingChannel|channel)\(\s*"(forksafe:[\w:-]+)"/g).map(([kind, name]) => [
				name,
				kind === "tracingChannel" ? "tracing" : "plain",
			]);
			expect(declared).to.have.length.above(0);
			expect(cellsOf(page, /^\| `(forksafe:[\w:-]+)` \| (tracing|plain) \|/gm)).to.have.deep.members(declared);
		});
	});

	describe("docs/contract.md", () => {
		const page = read("docs/contract.md");

		it("has the lines of ARCHITECTURE.md", () => {
			const [, contract = ""] = /in the new process:\n\n(.*?)\n\n`afterFork/s.exec(read("ARCHITECTURE.md")) ?? [];
			const lines = contract
				.split(/^\d+\. /m)
				.slice(1)
				.map(unfolded);
			expect(lines).to.have.length.above(0);
			expect(
				cellsOf(page, /^## Line \d+\n\n(.*?)\n\n/gms)
					.flat()
					.map(unfolded),
			).to.deep.equal(lines);
		});

		it("names tests that there are", () => {
			const named = cellsOf(page, /^- `(packages\/[^`]+)`: (.*)$/gm);
			expect(named).to.have.length.above(0);
			for (const [file = "", title = ""] of named) {
				expect(read(file), `${file}: ${title}`).to.include(`it(${JSON.stringify(title)}`);
			}
		});

		it("names a scenario and a test for each line", () => {
			for (const section of page.split(/^## /m).slice(1)) {
				expect(section, section)
					.to.match(/^- `test\/scenarios\//m)
					.and.to.match(/^- `packages\//m);
			}
		});
	});
});

function read(path: string): string {
	return readFileSync(new URL(path, root), "utf8");
}

function sourcesIn(directory: string): string[] {
	const names = readdirSync(new URL(directory, root)).filter((name) => name.endsWith(".ts"));
	return names.map((name) => read(directory + name));
}

/** The groups of every match in the sources of all packages. */
function matchesOf(pattern: RegExp): string[][] {
	return sources.flatMap((source) => cellsOf(source, pattern));
}

function cellsOf(text: string, pattern: RegExp): string[][] {
	return [...text.matchAll(pattern)].map(([, ...groups]) => groups);
}

function unfolded(text: string): string {
	return text.replace(/\s+/g, " ").trim();
}
