import { expect } from "chai";
import { fairShares } from "../src/fair-shares.ts";

describe("fair shares", () => {
	const cases: [total: number, demands: number[], shares: number[]][] = [
		[20, [5, 5, 5], [5, 5, 5]],
		[20, [50, 50, 50, 50], [5, 5, 5, 5]],
		[20, [1, 50, 50, 2], [1, 9, 8, 2]],
		[20, [50, 0, 50, 6], [7, 0, 7, 6]],
		[2, [9, 9, 9], [1, 1, 0]],
		[0, [3], [0]],
		[5, [], []],
	];
	for (const [total, demands, shares] of cases) {
		it(`of ${total}, when ${demands.join(", ") || "nobody"} are asked for, are ${shares.join(", ")}`, () => {
			expect(fairShares(total, demands)).to.deep.equal(shares);
		});
	}
});
