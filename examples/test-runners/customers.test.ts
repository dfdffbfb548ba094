import { equal } from "node:assert/strict";
import { db } from "./database.ts";

describe("customers", () => {
	it("are found side by side", async () => {
		const answers = await Promise.all([1, 2, 3].map((n) => db.raw("select ?::int as n", [n])));
		equal(answers.map(({ rows }) => rows[0].n).join(), "1,2,3");
	});
});
