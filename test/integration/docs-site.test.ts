/** Links of the documents hold in the repository and in the site that is built of them. What the site looks like: `docs-check`. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { siteLink, slug } from "../../docs/.vitepress/site-path.ts";
import { files } from "../support/guides.ts";

const root = new URL("../../", import.meta.url);

describe("links of the documents", () => {
	it("lead in the site where they lead in the repository", () => {
		expect(siteLink("docs/guides/pm2.md", "../sizing.md")).to.equal("/sizing.md");
		expect(siteLink("docs/sizing.md", "pgbouncer.md#what-the-preset-sets")).to.equal("/pgbouncer.md#what-the-preset-sets");
		expect(siteLink("packages/pg/README.md", "../../README.md")).to.equal("/index.md");
		expect(siteLink("README.md", "docs/benchmarks/README.md")).to.equal("/benchmarks/index.md");
		expect(siteLink("README.md", "packages/knex/README.md")).to.equal("/packages/knex.md");
	});

	it("are none in the site to what is no page", () => {
		expect(siteLink("docs/guides/pm2.md", "../../examples/shutdown.ts")).to.equal(undefined);
		expect(siteLink("README.md", "test/README.md")).to.equal(undefined);
	});

	for (const file of files) {
		it(`${file}: name headings that there are`, () => {
			const text = readFileSync(new URL(file, root), "utf8");
			for (const [, link = ""] of text.matchAll(/\]\((?!https?:)([^)]*#[^)]+)\)/g)) {
				const [target = "", hash] = link.split("#");
				const there = target === "" ? text : readFileSync(new URL(target, new URL(file, root)), "utf8");
				const headings = [...there.replace(/^```.*?^```/gms, "").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
					slug(heading),
				);
				expect(headings, link).to.include(hash);
			}
		});
	}

	it("README.md: has less than 200 lines", () => {
		expect(readFileSync(new URL("README.md", root), "utf8").split("\n")).to.have.length.below(200);
	});
});
