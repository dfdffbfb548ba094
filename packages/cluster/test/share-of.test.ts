import process from "node:process";
import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { type ShareOptions, shareOf } from "../src/index.ts";

describe("shareOf", () => {
	afterEach(() => void delete process.env["NODE_APP_INSTANCE"]);

	it("divides the total, and gives what cannot be divided to those that come first", () => {
		const shares = [0, 1, 2, 3].map((index) => shareOf({ total: 90, processes: 4, index }));
		expect(shares).to.deep.equal([23, 23, 22, 22]);
	});

	it("reads which process this is from NODE_APP_INSTANCE", () => {
		process.env["NODE_APP_INSTANCE"] = "3";
		expect(shareOf({ total: 90, processes: 4 })).to.equal(22);
	});

	const refused: [options: Partial<ShareOptions>, option: string, instance?: string][] = [
		[{ total: 0, processes: 1, index: 0 }, "total"],
		[{ total: 10, processes: 1.5, index: 0 }, "processes"],
		[{ total: 10, processes: 11, index: 0 }, "processes"],
		[{ total: 10, processes: 2, index: 2 }, "index"],
		[{ total: 10, processes: 2, index: -1 }, "index"],
		[{ total: 10, processes: 2 }, "index"],
		[{ total: 10, processes: 2 }, "index", "two"],
		[{ total: 10, processes: 2 }, "NODE_APP_INSTANCE", "2"],
		[{ totl: 10 } as Partial<ShareOptions>, "totl"],
	];
	for (const [options, option, instance] of refused) {
		it(`refuses ${JSON.stringify(options)}${instance === undefined ? "" : ` as instance ${instance}`}`, () => {
			if (instance !== undefined) process.env["NODE_APP_INSTANCE"] = instance;
			const error = thrown(() => shareOf(options as ShareOptions));
			expect(error).to.include({ code: "ERR_FORKSAFE_OPTION", option });
		});
	}
});
