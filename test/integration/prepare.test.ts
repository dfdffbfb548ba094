/** Prepared statements over forks: each process has its own, and the parent keeps those that it has. And through a pooler that knows of none. */
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import { afterThisTest } from "../support/after-this-test.ts";
import { openPgBouncer } from "../support/pooled-faces.ts";
import { runProgram } from "../support/program.ts";
import { needsForks } from "../support/skip.ts";

/** What a process of `test/programs/prepared.ts` says. */
interface Told {
	readonly wrong: number;
	/** `name: uses` of its two statements. */
	readonly names: readonly string[];
	readonly underWay: { readonly value?: unknown; readonly error?: { readonly code?: string } };
}

describe("prepared statements", () => {
	before(needsForks);

	for (const face of ["pg", "Knex", "Kysely"]) {
		for (const hook of ["hook", "no-hook"]) {
			it(`are each process's own, over ${face}, with ${hook}`, async () => {
				const { reports, output } = await runProgram(new URL("../programs/prepared.ts", import.meta.url), {
					args: [face, hook],
					deadlineMillis: 30_000,
				});
				const [report] = reports.filter(({ process }) => process === "program");
				const value = report?.kind === "report" ? report.value : report;
				expect(value, output).to.have.property("children").with.lengthOf(2);
				const { before, after, children } = value as { before: Told; after: Told; children: Told[] };
				expect([before, after, ...children].map(({ wrong }) => wrong)).to.deep.equal([0, 0, 0, 0]);
				// The first use had no name.
				const [one, other] = before.names.map((name) => name.split(": ")[0]);
				expect(before.names).to.deep.equal([`${one}: 19`, `${other}: 19`]);
				expect(after.names).to.deep.equal([`${one}: 39`, `${other}: 39`]);
				expect(after.underWay).to.deep.equal({ value: [{ answer: "slow" }] });
				const sessions = [before, ...children].map(({ names }) => names.map((name) => name.split("_")[1]));
				for (const child of children) {
					expect(child.names).to.have.lengthOf(2);
					for (const name of child.names) expect(name).to.match(/: 19$/);
					expect(child.underWay).to.have.nested.property("error.code", "ERR_FORKSAFE_INHERITED");
				}
				expect(new Set(sessions.flat()), "what the names begin with").to.have.property("size", 3);
			});
		}
	}

	it("are never mistaken for those of other sessions, which a pooler has left on the same server", async () => {
		const bouncer = await openPgBouncer({ default_pool_size: 2 });
		const pools = [1, 2].map(() => new Pool({ connectionString: bouncer.url, max: 3, prepare: { minUses: 1, max: 4 } }));
		afterThisTest(async () => void (await Promise.all(pools.map((pool) => pool.end()))));
		const asked = Array.from({ length: 300 }, async (_, n) => {
			const { rows } = await (pools[n % 2] as Pool).query(`select $1::int + ${n % 6} as n`, [n]);
			return rows[0].n - n;
		});
		expect(await Promise.all(asked)).to.deep.equal(asked.map((_, n) => n % 6));
	});
});
