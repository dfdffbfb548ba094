/** Processes that are started while pools work: each is a fork for a moment, and none is one of the pool's process. */
import { expect } from "chai";
import { startLineServer } from "../support/line-server.ts";
import { runProgram } from "../support/program.ts";
import { postgresUrl } from "../support/server-urls.ts";

const program = new URL("../programs/spawn-storm.ts", import.meta.url);
const CHILDREN = 200;
const AT_A_TIME = 8;

describe(`a storm of ${CHILDREN} processes, ${AT_A_TIME} at a time`, () => {
	before(function () {
		if (process.platform === "win32") {
			console.log("    skipped: Windows has no fork, and no program true");
			this.skip();
		}
	});

	for (const sentinel of [false, true]) {
		it(`takes no connection from any pool, and ends no generation${sentinel ? ", with the sentinel" : ""}`, async () => {
			const lines = await startLineServer();
			try {
				const { reports, output } = await runProgram(program, {
					deadlineMillis: 50_000,
					args: [postgresUrl("TCP") ?? "", lines.url, String(CHILDREN), String(AT_A_TIME)],
					nodeArgs: sentinel ? ["--import", import.meta.resolve("@forksafe/sentinel")] : [],
				});
				const said = reports.flatMap((line) => (line.kind === "report" ? [line.value as Record<string, unknown>] : []));
				const names = ["core", "pg Pool", "Knex", "Kysely", "Kysely's own dialect"];
				const untouched = names.map((name) => ({ name, answered: true, wrong: 0, lost: 0, generation: 0 }));
				expect(said.slice(0, -1), output).to.deep.equal(untouched);
				expect(said.at(-1), output).to.have.property("millisPerSpawn");
				console.log(`      ${JSON.stringify(said.at(-1))}`);
			} finally {
				await lines.stop();
			}
		});
	}
});
