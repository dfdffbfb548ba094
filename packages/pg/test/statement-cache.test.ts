import { expect } from "chai";
import { StatementCache } from "../src/statement-cache.ts";

describe("StatementCache", () => {
	it("lets go who was not used for longest", () => {
		const cache = new StatementCache({ max: 2, minUses: 1 });
		for (const text of ["one", "two"]) {
			expect(cache.surplus).to.equal(undefined);
			cache.add({ text, name: `name of ${text}` });
		}
		expect(cache.surplus).to.have.property("text", "one");
		expect(cache.use("one")).to.have.property("name", "name of one");
		expect(cache.surplus).to.have.property("text", "two");
		cache.delete("two");
		expect(cache.surplus).to.equal(undefined);
		expect(cache.use("two")).to.equal(undefined);
		expect(cache.all().map(({ text }) => text)).to.deep.equal(["one"]);
	});

	it("moves none that is gone, although it was the latest", () => {
		const cache = new StatementCache({ max: 2, minUses: 1 });
		cache.add({ text: "one", name: "1" });
		cache.delete("one");
		cache.add({ text: "one", name: "2" });
		cache.add({ text: "two", name: "3" });
		expect(cache.use("one")).to.have.property("name", "2");
		expect(cache.surplus).to.have.property("text", "two");
	});

	it("counts uses", () => {
		const cache = new StatementCache({ max: 2, minUses: 3 });
		expect(["one", "one", "two", "one", "one"].map((text) => cache.isDue(text))).to.deep.equal([
			false,
			false,
			false,
			true,
			false,
		]);
	});

	it("forgets the count of what was not used for long", () => {
		const cache = new StatementCache({ max: 2, minUses: 2 });
		cache.isDue("often");
		for (let n = 0; n < 99; n++) {
			expect(cache.isDue(`once ${n}`)).to.equal(false);
			if (n === 50) expect(cache.isDue("once 0")).to.equal(true);
		}
		// It is 99 others since, less one.
		expect(cache.isDue("often")).to.equal(true);
		cache.isDue("seldom");
		for (let n = 0; n < 100; n++) cache.isDue(`other ${n}`);
		expect(cache.isDue("seldom")).to.equal(false);
	});

	it("keeps no more text than 200,000 characters for the sake of counting", () => {
		const cache = new StatementCache({ max: 2, minUses: 2 });
		const long = (letter: string): string => letter.repeat(90_000);
		for (const letter of ["a", "b", "c"]) expect(cache.isDue(long(letter))).to.equal(false);
		expect([long("c"), long("b"), long("a")].map((text) => cache.isDue(text))).to.deep.equal([true, true, false]);
		const tooLong = "x".repeat(200_001);
		expect([cache.isDue(tooLong), cache.isDue(tooLong)]).to.deep.equal([false, false]);
		expect(cache.isDue("short")).to.equal(false);
		expect(cache.isDue("short")).to.equal(true);
	});
});
