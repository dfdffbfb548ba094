import { expect } from "chai";
import pg from "pg";
import { thrown } from "../../../test/support/promises.ts";
import { assertPgInternals } from "../src/pg-internals.ts";

const relied: [string, object, string][] = [
	["Client", pg.Client.prototype, "_getActiveQuery"],
	["Client", pg.Client.prototype, "_pulseQueryQueue"],
	["Connection", pg.Connection.prototype, "attachListeners"],
	["Connection", pg.Connection.prototype, "cancel"],
	["Connection", pg.Connection.prototype, "close"],
	["Connection", pg.Connection.prototype, "requestSsl"],
];

describe("assertPgInternals", () => {
	it("has nothing against this pg", () => {
		assertPgInternals();
	});

	for (const [owner, prototype, member] of relied) {
		it(`names ${member} when pg's ${owner} has it no more, or as something else`, () => {
			const descriptor = Object.getOwnPropertyDescriptor(prototype, member) as PropertyDescriptor;
			try {
				delete (prototype as Record<string, unknown>)[member];
				expect(thrown(assertPgInternals).message).to.include(`relies on ${member} of pg`);
				Object.defineProperty(prototype, member, { value: "something else", configurable: true });
				expect(thrown(assertPgInternals).message).to.include(`relies on ${member} of pg`);
			} finally {
				Object.defineProperty(prototype, member, descriptor);
			}
			assertPgInternals();
		});
	}

	it("names all that is missing", () => {
		const taken = relied.map(([, prototype, member]) => {
			const descriptor = Object.getOwnPropertyDescriptor(prototype, member) as PropertyDescriptor;
			delete (prototype as Record<string, unknown>)[member];
			return () => Object.defineProperty(prototype, member, descriptor);
		});
		try {
			expect(thrown(assertPgInternals).message).to.include(
				"_getActiveQuery, _pulseQueryQueue, attachListeners, cancel, close, requestSsl of pg 8.23",
			);
		} finally {
			for (const giveBack of taken) giveBack();
		}
	});
});
