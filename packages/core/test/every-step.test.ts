/**
 * Every place where an operation waits, with everything that can happen there, and with the late answer of what it waited
 * for: whoever asked is told once, every connection ends once, and the pool goes on.
 */
import { expect } from "chai";
import { follow, type Outcome, settle } from "../../../test/support/promises.ts";
import { ConnectError, ForkSafeError, reportProcessChange } from "../src/index.ts";
import { at } from "./support/at.ts";
import { type Connection, Transient } from "./support/gated-driver.ts";
import { type SetUp, setUp } from "./support/set-up.ts";

/** An operation that waits for something. */
interface Waiting extends SetUp {
	readonly abort: AbortController;
	readonly acquires: Outcome<Connection>[];
	/** Answers what it waits for; undefined when nothing but time, or somebody else, can. */
	readonly answer?: (how: Answer) => void;
}

type Answer = "success" | "failure" | "a failure that passes";

const TIMEOUTS = {
	acquireTimeoutMillis: 5_000,
	connectTimeoutMillis: 1_000,
	validateTimeoutMillis: 1_000,
	destroyTimeoutMillis: 1_000,
	idleTimeoutMillis: 0,
};

async function waiting(point: Point): Promise<Waiting> {
	const built = setUp({ ...TIMEOUTS, max: 1, validates: true });
	const abort = new AbortController();
	const acquires: Outcome<Connection>[] = [];
	const acquire = (): void => void acquires.push(follow(built.pool.acquire({ signal: abort.signal })));
	const answer = await points[point](built, acquire);
	return { ...built, abort, acquires, ...(answer && { answer }) };
}

/** Brings a pool to the place, and gives what answers there. */
const points = {
	"for somebody to release": async ({ pool }: SetUp, acquire: () => void) => {
		const held = await pool.acquire();
		acquire();
		return (how: Answer) => pool.release(held, how === "success" ? undefined : { destroy: true });
	},
	"for a connect": async ({ driver }: SetUp, acquire: () => void) => {
		driver.stopsAt.add("connect");
		acquire();
		return connectAnswer(driver, 0);
	},
	"for the next connect to begin, after one that has failed": async ({ driver }: SetUp, acquire: () => void) => {
		driver.stopsAt.add("connect");
		acquire();
		at(driver.connects, 0).fail(new Transient("too many connections"));
		await settle();
		return undefined;
	},
	"for a connect in the place of what was destroyed": async ({ pool, driver }: SetUp, acquire: () => void) => {
		const held = await pool.acquire();
		driver.stopsAt.add("connect");
		acquire();
		pool.release(held, { destroy: true });
		await settle();
		return connectAnswer(driver, 1);
	},
	"for two turns of the event loop": async ({ pool, clock }: SetUp, acquire: () => void) => {
		pool.release(await pool.acquire());
		await clock.advance(100);
		acquire();
		return undefined;
	},
	"for a validation": async ({ pool, driver, clock }: SetUp, acquire: () => void) => {
		pool.release(await pool.acquire());
		clock.setWallBy(60_000);
		driver.stopsAt.add("validate");
		acquire();
		await settle();
		return (how: Answer) => {
			const gate = at(driver.validations, 0);
			if (how === "success") gate.succeed(true);
			else gate.fail(new Error("broken pipe"));
		};
	},
	"for the end of a connection that is in the way": async ({ pool, driver }: SetUp, acquire: () => void) => {
		const held = await pool.acquire();
		driver.stopsAt.add("destroy");
		pool.release(held, { destroy: true });
		acquire();
		await settle();
		return (how: Answer) => {
			const gate = at(driver.destroys, 0);
			if (how === "success") gate.succeed();
			else gate.fail(new Error("broken pipe"));
		};
	},
} satisfies Record<string, (built: SetUp, acquire: () => void) => Promise<((how: Answer) => void) | undefined>>;
type Point = keyof typeof points;

function connectAnswer(driver: SetUp["driver"], index: number): (how: Answer) => void {
	return (how) => {
		const gate = at(driver.connects, index);
		if (how === "success") gate.open();
		else gate.fail(how === "failure" ? new Error("refused") : new Transient("too many connections"));
	};
}

/** What happens meanwhile, and what it makes of an acquire that waits; undefined: that depends on the place. */
const events: Record<string, readonly [happens: (waiting: Waiting) => unknown, state?: Outcome<unknown>["state"]]> = {
	nothing: [() => {}],
	"the caller gives up": [({ abort }) => abort.abort(new Error("enough")), "rejected"],
	"its own time is up": [({ clock }) => clock.advance(1_001)],
	"the time of the acquire is up": [({ clock }) => clock.advance(5_001)],
	close: [({ pool }) => void pool.close(), "rejected"],
	drain: [({ pool }) => void pool.drain({ deadlineMillis: 100 }), "rejected"],
	evict: [({ pool }) => pool.evict()],
	"suspend, for a minute": [
		async ({ pool, clock }) => {
			pool.suspend({ deadlineMillis: 100 }).catch(expectTold);
			await clock.advance(60_000);
			expect(pool.stats()).to.include({ state: "suspended", idle: 0, validating: 0 });
			pool.resume();
		},
	],
	"suspend, which rejects acquires": [
		async ({ pool }) => {
			pool.suspend({ acquires: "reject" }).catch(expectTold);
			await settle();
			pool.resume();
		},
		"rejected",
	],
	"the process changes": [() => reportProcessChange(), "rejected"],
	"the process is stopped for a minute": [({ clock }) => clock.jump(60_000)],
	"the maintenance tick": [({ pool }) => pool.maintain()],
};

describe("an acquire that waits", () => {
	for (const point of Object.keys(points) as Point[]) {
		describe(point, () => {
			for (const [event, [happens, expected]] of Object.entries(events)) {
				for (const answer of ["success", "failure", "a failure that passes", undefined] as const) {
					it(`is told once when this happens: ${event}, then ${answer ?? "no answer"}`, async () => {
						const built = await waiting(point);
						await happens(built);
						if (expected !== undefined) {
							await settle();
							expect(at(built.acquires, 0).state).to.equal(expected);
						}
						if (answer !== undefined) built.answer?.(answer);
						await settle();
						await goOn(built);
					});
				}
			}
		});
	}
});

/** Lets everything come to its end, and looks at what is left. */
async function goOn({ pool, driver, clock, acquires }: Waiting): Promise<void> {
	driver.stopsAt.clear();
	await clock.advance(10_000);
	const [first] = acquires;
	if (first?.state === "fulfilled") pool.release(first.value as Connection);
	else expectTold(first?.reason);
	expect(first?.state, "whoever asked").not.to.equal("pending");
	await settle();
	expect(pool.stats()).to.include({ pending: 0, connecting: 0, validating: 0, destroying: 0 });

	if (pool.state === "open" && pool.stats().used === 0) {
		const connection = await pool.acquire();
		expect(pool.stats()).to.include({ used: 1, total: 1 });
		pool.release(connection);
	}
	await Promise.all([pool.close(), clock.advance(10_000)]);
	expect(pool.stats()).to.include({ state: "closed", total: 0 });
	expect(clock.running, "timers").to.equal(0);

	// What is being ended when the process changes is forgotten by the copy.
	const { destroyed, discarded } = driver;
	expect(new Set(destroyed).size, "destroyed, each once").to.equal(destroyed.length);
	expect(new Set(discarded).size, "discarded, each once").to.equal(discarded.length);
	const opened = await Promise.all(driver.connects.filter(({ isOpen }) => isOpen).map(({ promise }) => promise.catch(() => {})));
	const ended = [...new Set([...destroyed, ...discarded])];
	expect(ended).to.have.members(opened.filter((connection) => connection !== undefined));
}

function expectTold(reason: unknown): void {
	expect(reason).to.be.instanceOf(Error);
	const isOurs = reason instanceof ForkSafeError || (reason as Error).message === "enough";
	expect(isOurs, String(reason)).to.equal(true);
	if (reason instanceof ConnectError) expect(reason.cause).to.be.instanceOf(Error);
}
