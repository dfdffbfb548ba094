import { expect } from "chai";
import type { PoolCounts } from "../src/errors.ts";
import * as errors from "../src/errors.ts";
import type { ProcessChange } from "../src/process-change.ts";

const change: ProcessChange = { cause: "fork", previousPid: 100, pid: 200, previousGeneration: 0, generation: 1 };
const counts: PoolCounts = { max: 10, used: 9, idle: 0, connecting: 1, pending: 3 };
/** A specifier that TypeScript does not follow: the module is loaded a second time. */
const copyOfErrors: string = "../src/errors.ts?copy";

function oneOfEach(from: typeof errors): readonly [errors.ForkSafeErrorCode, errors.ForkSafeError][] {
	return [
		["ERR_FORKSAFE_PROCESS_CHANGED", new from.ProcessChangedError(change)],
		["ERR_FORKSAFE_INHERITED", new from.InheritedConnectionError(change)],
		["ERR_FORKSAFE_ACQUIRE_TIMEOUT", new from.AcquireTimeoutError("wait", 5000, 5001, counts)],
		["ERR_FORKSAFE_CONNECT", new from.ConnectError(new Error("refused"))],
		["ERR_FORKSAFE_CLOSED", new from.PoolClosedError("draining")],
		["ERR_FORKSAFE_QUEUE_FULL", new from.QueueFullError(3, counts)],
		["ERR_FORKSAFE_OPTION", new from.OptionError("max", 0, "must be more")],
		["ERR_FORKSAFE_RELEASE", new from.ReleaseError("released twice")],
	];
}

describe("errors", () => {
	for (const [code, error] of oneOfEach(errors)) {
		it(`are known by their code: ${error.name} has ${code}`, () => {
			expect(error).to.include({ code });
			expect(error).to.be.instanceOf(Error).and.to.be.instanceOf(errors.ForkSafeError);
			expect(error.stack).to.include(error.name);
			expect(error.name).to.equal(error.constructor.name);
		});
	}

	describe("instanceof", () => {
		it("holds for the class itself and no other", () => {
			for (const [, error] of oneOfEach(errors)) {
				const classes = Object.values(errors).filter((one) => error instanceof one);
				expect(classes.map(({ name }) => name)).to.have.members(["ForkSafeError", error.name]);
			}
		});

		it("holds across two loaded copies, both ways", async () => {
			const copy = (await import(copyOfErrors)) as typeof errors;
			expect(copy.ForkSafeError).not.to.equal(errors.ForkSafeError);
			for (const [ours, theirs] of [
				[errors, copy],
				[copy, errors],
			] as const) {
				for (const [, error] of oneOfEach(ours)) {
					const classes = Object.values(theirs).filter((one) => error instanceof one);
					expect(classes.map(({ name }) => name)).to.have.members(["ForkSafeError", error.name]);
				}
			}
		});

		it("is not confused by a class that is derived from one of them", () => {
			class RefusedError extends errors.ConnectError {}
			const refused = new RefusedError("refused");
			expect(refused instanceof RefusedError).to.equal(true);
			expect(refused instanceof errors.ConnectError).to.equal(true);
			expect(refused instanceof errors.ForkSafeError).to.equal(true);
			expect(refused instanceof errors.ReleaseError).to.equal(false);
			expect(new errors.ConnectError("refused") instanceof RefusedError).to.equal(false);
			expect(new errors.ReleaseError("twice") instanceof RefusedError).to.equal(false);
		});

		it("does not hold for what only looks like it", () => {
			const lookalike = Object.assign(new Error("x"), { name: "ConnectError", code: "ERR_FORKSAFE_CONNECT" });
			class ConnectError extends Error {}
			for (const value of [lookalike, new ConnectError("x"), null, undefined, "ConnectError", 5, {}, Object.create(null)]) {
				expect((value as unknown) instanceof errors.ConnectError).to.equal(false);
				expect((value as unknown) instanceof errors.ForkSafeError).to.equal(false);
			}
		});
	});

	describe("messages", () => {
		it("name both processes and the cause", () => {
			for (const error of [new errors.ProcessChangedError(change), new errors.InheritedConnectionError(change)]) {
				expect(error.message).to.include("100").and.to.include("200").and.to.include("fork");
				expect(error.change).to.equal(change);
			}
		});

		it("give the numbers of a time-out, and leave out what is zero", () => {
			const error = new errors.AcquireTimeoutError("connect", 5000, 5001.5, counts);
			expect(error.message).to.include("no connection within 5000 ms (max 10: 9 used, 1 connecting, 3 pending)");
			expect(error).to.include({ phase: "connect", waitedMillis: 5001.5, counts });
		});

		it("advise differently for each phase", () => {
			const phases = ["wait", "connect", "validate"] as const;
			expect(new Set(phases.map((phase) => new errors.AcquireTimeoutError(phase, 1, 1, counts).message)).size).to.equal(3);
		});
	});

	describe("ConnectError", () => {
		it("keeps what the driver said as its cause, whatever that is", () => {
			for (const cause of [new Error("refused"), "refused"]) {
				expect(new errors.ConnectError(cause)).to.include({ cause, message: "no connection could be opened: refused" });
			}
		});

		it("gives the driver's error once more, with the caller's stack and the driver's own as cause", () => {
			class DatabaseError extends Error {}
			const cause = Object.assign(new DatabaseError("too many clients"), { code: "53300", severity: "FATAL" });
			const again = new errors.ConnectError(cause).asDriverError();
			expect(again).to.be.instanceOf(DatabaseError).and.not.to.equal(cause);
			expect(again).to.include({ message: "too many clients", code: "53300", severity: "FATAL", cause });
			expect(again instanceof errors.ForkSafeError).to.equal(false);
		});

		it("keeps what is not enumerable, such as the errors of all addresses that were tried", () => {
			const cause = new AggregateError([new Error("::1"), new Error("127.0.0.1")]);
			const again = new errors.ConnectError(cause).asDriverError() as AggregateError;
			expect(again.errors).to.equal(cause.errors);
			expect(Object.keys(again)).to.deep.equal([]);
		});

		it("gives what is no error as it is", () => {
			expect(new errors.ConnectError("refused").asDriverError()).to.equal("refused");
		});
	});
});
