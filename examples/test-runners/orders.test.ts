import { equal } from "node:assert/strict";
import { db } from "./database.ts";

describe("orders", () => {
	it("are counted by the database", async () => {
		const { rows } = await db.raw("select sum(n)::int as sum from generate_series(1, 10) n");
		equal(rows[0].sum, 55);
	});
});
