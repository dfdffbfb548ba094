import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { Entry, type EntryState } from "../src/entry.ts";

const states: readonly EntryState[] = ["connecting", "idle", "validating", "used", "destroying", "gone", "discarded"];

/** Where an entry can go from a state. */
function followers(from: EntryState): EntryState[] {
	return states.filter((to) => {
		const entry = new Entry(0, 0, 0, 0, 0);
		entry.state = from;
		try {
			entry.moveTo(to);
		} catch {
			expect(entry.state).to.equal(from);
			return false;
		}
		expect(entry.state).to.equal(to);
		return true;
	});
}

describe("entry", () => {
	it("begins as a connect in progress", () => {
		expect(new Entry(0, 0, 0, 0, 5)).to.include({ state: "connecting", expiresAt: 5, resource: undefined, uses: 0 });
	});

	it("is used or validated only when it was idle", () => {
		for (const state of states) {
			expect(followers(state).includes("used")).to.equal(state === "idle");
			expect(followers(state).includes("validating")).to.equal(state === "idle");
		}
	});

	it("becomes idle by being opened, found good or released", () => {
		expect(states.filter((state) => followers(state).includes("idle"))).to.have.members(["connecting", "validating", "used"]);
	});

	it("can be discarded until it has gone, and has gone for good", () => {
		const living = states.filter((state) => followers(state).includes("discarded"));
		expect(living).to.have.members(["connecting", "idle", "validating", "used", "destroying"]);
		expect(followers("gone")).to.deep.equal([]);
		expect(followers("discarded")).to.deep.equal([]);
	});

	it("throws where there is no way", () => {
		const entry = new Entry(0, 0, 0, 0, 0);
		expect(thrown(() => entry.moveTo("used"))).to.have.property("message", "bug: a connection cannot go from connecting to used");
	});
});
