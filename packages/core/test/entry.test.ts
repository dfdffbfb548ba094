import { expect } from "chai";
import { Entry, type EntryState } from "../src/entry.ts";
import { thrown } from "./support/outcome.ts";

const states: readonly EntryState[] = ["connecting", "idle", "validating", "used", "destroying", "gone", "discarded"];
const allowed: Record<EntryState, readonly EntryState[]> = {
	connecting: ["idle", "destroying", "gone", "discarded"],
	idle: ["used", "validating", "destroying", "discarded"],
	validating: ["idle", "destroying", "discarded"],
	used: ["idle", "destroying", "discarded"],
	destroying: ["gone", "discarded"],
	gone: [],
	discarded: [],
};

describe("entry", () => {
	it("begins as a connect in progress", () => {
		expect(new Entry(5)).to.include({ state: "connecting", createdAt: 5, resource: undefined, uses: 0 });
	});

	for (const from of states) {
		it(`goes from ${from} to ${allowed[from].join(", ") || "nowhere"}, and throws otherwise`, () => {
			for (const to of states) {
				const entry = new Entry(0);
				entry.state = from;
				if (allowed[from].includes(to)) {
					entry.moveTo(to);
					expect(entry.state).to.equal(to);
				} else {
					const error = thrown(() => entry.moveTo(to));
					expect(error).to.have.property("message", `bug: a connection cannot go from ${from} to ${to}`);
					expect(entry.state).to.equal(from);
				}
			}
		});
	}
});
