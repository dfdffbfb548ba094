/**
 * The same random commands for pg's own pool and for ours, in virtual time and over a server without a network. After each
 * command everything that can be observed is compared: who was answered and with what, the events with their arguments,
 * the counters, and what the server sees. fast-check prints the seed and the shortest list of commands that differs.
 *
 * What differs on purpose stands in `Differences` below, and in ARCHITECTURE.md ("Where it differs") with the reasons.
 * Nothing else is tolerated.
 */
import process from "node:process";
import { inspect, isDeepStrictEqual } from "node:util";
import { expect } from "chai";
import fc from "fast-check";
import pg from "pg";
import { Pool, type PoolConfig } from "../src/index.ts";
import { type Answer, FakeSocket } from "./support/fake-server.ts";
import { settleAll, VirtualTime } from "./support/virtual-time.ts";

const RUNS = Number(process.env["FORKSAFE_MODEL_RUNS"] ?? 2_000);
const CONNECTION_TIMEOUT_MILLIS = 50;
const IDLE_TIMEOUT_MILLIS = 200;
const LIFETIME_SECONDS = 0.28;

/** How often each command is tried. One that makes no sense at the moment is left out, in both worlds. */
const commandWeights = {
	acquire: 26,
	"query succeeds": 6,
	"query fails": 3,
	"query loses the connection": 3,
	release: 44,
	"release with true": 4,
	"release with an error": 4,
	"release once more": 4,
	"a connect succeeds": 60,
	"a connect is refused": 3,
	"a connect breaks": 3,
	"onConnect rejects": 2,
	"verify refuses": 2,
	"the network of a used client fails": 3,
	"a used client is terminated": 3,
	"the application ends a used client": 2,
	"the network of an idle client fails": 3,
	"an idle client is terminated": 3,
	"time passes": 30,
	end: 1,
};
type CommandName = keyof typeof commandWeights;

/** `n` chooses among what is there: which client comes back, how much time passes. */
type Command = readonly [name: CommandName, n: number];

const commands: fc.Arbitrary<Command[]> = fc.array(
	fc.oneof(
		...Object.entries(commandWeights).map(([name, weight]) => ({
			weight,
			arbitrary: fc.tuple(fc.constant(name as CommandName), fc.nat({ max: 11 })),
		})),
	),
	{ minLength: 1, maxLength: 70, size: "max" },
);

interface Setting extends PoolConfig {
	/** Else by promise. In one run all by the same: who of two is told first would else depend on how. */
	byCallback: boolean;
}

const settings: fc.Arbitrary<Setting> = fc.record({
	byCallback: fc.boolean(),
	max: fc.integer({ min: 1, max: 3 }),
	connectionTimeoutMillis: fc.constantFrom(0, CONNECTION_TIMEOUT_MILLIS),
	idleTimeoutMillis: fc.constantFrom(0, IDLE_TIMEOUT_MILLIS),
	maxUses: fc.constantFrom(Number.POSITIVE_INFINITY, 2),
	maxLifetimeSeconds: fc.constantFrom(0, LIFETIME_SECONDS),
	allowExitOnIdle: fc.boolean(),
});

type Entry = readonly unknown[];

interface Held {
	readonly client: pg.PoolClient;
	readonly release: (error?: Error | boolean) => void;
}

/** A pool with those who use it, and what they saw. */
class World {
	readonly pool: pg.Pool;
	readonly sockets: FakeSocket[] = [];
	readonly held: Held[] = [];
	/** Who was given a client or a result, or was told that there is none. */
	answers: Entry[] = [];
	events: Entry[] = [];
	/** In the same turn: ours serves later, so it is asked when nobody waits. */
	countsAfterRelease: object = {};
	/** Acquires and queries without an answer. */
	readonly unanswered = new Map<string, "acquire" | "query">();
	/** When those that are idle were given back. */
	readonly idleSince = new Map<unknown, number>();
	readonly #spent: Held["release"][] = [];
	readonly #byCallback: boolean;
	#asked = 0;
	#refusal: "onConnect" | "verify" | undefined;

	constructor(PoolClass: typeof pg.Pool, { byCallback, ...config }: Setting) {
		this.#byCallback = byCallback;
		this.pool = new PoolClass({
			...config,
			...(PoolClass !== pg.Pool && { ...Differences.connectsTogether, ...config }),
			ssl: false,
			stream: () => {
				const socket = new FakeSocket();
				this.sockets.push(socket);
				return socket;
			},
			onConnect: () => {
				if (this.#refusal === "onConnect") throw new RangeError("onConnect says no");
			},
			verify: (_client, done) => done(this.#refusal === "verify" ? new RangeError("verify says no") : undefined),
		} as pg.PoolConfig);
		for (const event of ["connect", "acquire", "release", "remove", "error"]) {
			this.pool.on(event as "connect", (...args: unknown[]) => {
				this.events.push([event, ...args.map((arg) => this.#show(arg))]);
				if (event === "release") this.idleSince.set(args[1], performance.now());
				if (event === "acquire" || event === "remove") this.idleSince.delete(args[0]);
			});
		}
	}

	get connecting(): FakeSocket[] {
		return this.sockets.filter(({ state }) => state === "connecting");
	}

	/** Those in use, by the client; the others that are open are idle. */
	get idle(): FakeSocket[] {
		const used = new Set(this.held.map(({ client }) => socketOf(client)));
		return this.sockets.filter((socket) => socket.state === "open" && !used.has(socket));
	}

	acquire(): void {
		const name = this.#ask("acquire");
		const answered = (error: unknown, client?: pg.PoolClient, done?: Held["release"]): void => {
			this.#answered(
				name,
				error === undefined ? { client: this.#show(client), isDone: client?.release === done } : this.#show(error),
			);
			if (client === undefined || done === undefined) return;
			client.on("error", ignore); // pg-pool leaves a used client without a listener
			this.held.push({ client, release: done });
		};
		if (this.#byCallback) this.pool.connect((error, client, done) => answered(error, client, done));
		else this.pool.connect().then((client) => answered(undefined, client, client.release), answered);
	}

	query(text: string): void {
		const name = this.#ask("query");
		const answered = (error: unknown, result?: pg.QueryResult): void =>
			this.#answered(name, error ? this.#show(error) : { rows: result?.rows });
		if (this.#byCallback) this.pool.query(text, answered);
		else this.pool.query(text).then((result) => answered(undefined, result), answered);
	}

	release(n: number, how?: Error | boolean): void {
		const [held] = this.held.splice(n % this.held.length, 1);
		held?.client.off("error", ignore);
		if (held) this.#spent.push(held.release);
		const servesNobody = this.unanswered.size === 0;
		held?.release(how);
		// Ours has `ended` when the last client has gone, not before.
		if (servesNobody) this.countsAfterRelease = { ...this.counts(), ended: undefined };
	}

	/** As an application may, that has taken it from the pool. */
	endClient(n: number): void {
		const { client } = this.held[n % this.held.length] as Held;
		void (client as unknown as pg.Client).end();
	}

	releaseOnceMore(n: number): void {
		try {
			this.#spent[n % this.#spent.length]?.();
		} catch (error) {
			this.#answered("release once more", this.#show(error));
		}
	}

	async answerConnect(answer: Answer, refusal?: "onConnect" | "verify"): Promise<void> {
		this.#refusal = refusal;
		this.connecting[0]?.answer(answer);
		await settleAll();
		this.#refusal = undefined;
	}

	end(): void {
		const answered = (error?: unknown): void => this.#answered("end", error instanceof Error ? this.#show(error) : "ended");
		if (this.#byCallback) this.pool.end(answered);
		else this.pool.end().then(answered, answered);
	}

	/** Beside answers and events. */
	state(): object {
		return { ...this.counts(), sockets: this.sockets.map(({ state }) => state) };
	}

	counts(): object {
		const { totalCount, idleCount, waitingCount, expiredCount, ending, ended } = this.pool;
		return { totalCount, idleCount, waitingCount, expiredCount, ending, ended };
	}

	forgetTheStep(): void {
		this.answers = [];
		this.events = [];
	}

	#ask(kind: "acquire" | "query"): string {
		const name = `${kind} ${++this.#asked}`;
		this.unanswered.set(name, kind);
		return name;
	}

	#answered(name: string, answer: unknown): void {
		this.unanswered.delete(name);
		this.answers.push([name, answer]);
	}

	#show(value: unknown): unknown {
		if (value instanceof pg.Client) return `client ${this.sockets.indexOf(socketOf(value)) + 1}`;
		if (!(value instanceof Error)) return value;
		const { message, code, client } = value as Error & { code?: string; client?: unknown };
		return { error: message, class: value.constructor.name, code, client: this.#show(client) };
	}
}

function ignore(): void {}

function socketOf(client: unknown): FakeSocket {
	return (client as { connection: { stream: FakeSocket } }).connection.stream;
}

/** Each has its line in ARCHITECTURE.md, and is tolerated here and nowhere else. They look at pg-pool's side. */
const Differences = {
	/** Ours lets the first connect of a pool go ahead. The option that it has for that is no option of pg-pool. */
	connectsTogether: { connectHeadStartMillis: 0, maxConnecting: 0 } satisfies PoolConfig,
	/**
	 * A client that comes back goes to whoever has waited longest, even while a connect is under way for them; pg-pool
	 * keeps a connect for whoever caused it. So while connects are under way, nothing comes back to be kept.
	 */
	releaseDuringConnect: ({ connecting }: World): boolean => connecting.length > 0,
	/** The same: a query brings its client back at once. */
	connectForQuery: ({ connecting, unanswered }: World): boolean =>
		connecting.length > 1 && [...unanswered.values()].includes("query"),
	/**
	 * The same: who caused this connect has given up. pg-pool lets nobody else wait for it; ours gives it to the next one,
	 * or tells them that it has failed. The run ends here.
	 */
	connectForNobody: ({ connecting, unanswered, pool }: World): boolean => connecting.length > unanswered.size - pool.waitingCount,
	/** pg-pool lets those who wait at the end wait on; ours rejects them. */
	endWithWaiters: ({ unanswered }: World): boolean => unanswered.size > 0,
	/** Idle clients are closed by the next tick but one, not to the millisecond: after that much time nothing is compared. */
	idleTimeout: ({ idleSince, pool }: World, millis: number): boolean =>
		pool.options.idleTimeoutMillis === IDLE_TIMEOUT_MILLIS &&
		[...idleSince.values()].some((since) => {
			const age = performance.now() + millis - since;
			return age >= IDLE_TIMEOUT_MILLIS && age <= IDLE_TIMEOUT_MILLIS * 1.5 + 1;
		}),
	/**
	 * Which of the idle clients goes first, by time or by lifetime, is for the same reason not compared. At the end pg-pool
	 * closes them in the order in which they came back, ours in the order in which they were opened.
	 */
	orderOfClosing: (events: Entry[]): Entry[] => events.toSorted((a, b) => String(a).localeCompare(String(b))),
	/** pg-pool takes an idle client whose lifetime is over out for nobody, to close it. */
	acquiresForNobody: (events: Entry[]): Entry[] => events.filter(([event]) => event !== "acquire" && event !== "release"),
	/**
	 * pg-pool calls back from within `release()`, so that the callback of a query, which releases first, comes after those of
	 * all that are served with its client. Ours calls back later. The order of acquires is compared all the same.
	 */
	answersOfQueries: (answers: Entry[]): Entry[] => answers.toSorted(([a], [b]) => queryNumber(a) - queryNumber(b)),
	/**
	 * Whose connect was begun in the same millisecond, though not at once, is told by pg-pool that they had to queue, and by
	 * ours that the connect took too long. All whose time is up at the same moment are told in one turn.
	 */
	timeOuts: (answers: Entry[]): Entry[] => {
		const isTimeOut = ([, answer]: Entry): boolean => TIME_OUTS.includes((answer as { error?: string }).error ?? "");
		const names = answers.filter(isTimeOut).map(([name]) => name as string);
		names.sort((a, b) => askedAs(a) - askedAs(b));
		return answers.map((entry) => (isTimeOut(entry) ? [names.shift(), "a time-out"] : entry));
	},
	/** pg-pool announces a client before verify has seen it. */
	announcedBeforeVerify: (events: Entry[]): Entry[] => {
		const refused = events.find(([event, error]) => event === "release" && isVerifyError(error))?.[2];
		return events.filter((entry) => refused === undefined || !entry.includes(refused));
	},
};

const TIME_OUTS = ["Connection terminated due to connection timeout", "timeout exceeded when trying to connect"];

/** The how many-th it was that was asked for. */
function askedAs(name: string): number {
	return Number(/\d+$/.exec(name)?.[0] ?? 0);
}

/** 0 for what is no query. */
function queryNumber(name: unknown): number {
	return Number(/^query (\d+)$/.exec(name as string)?.[1] ?? 0);
}

function isVerifyError(value: unknown): boolean {
	return (value as { error?: string } | undefined)?.error === "verify says no";
}

/** How often it has come to what: a run that never comes to anything proves nothing. */
const seen = new Map<string, number>();
const SITUATIONS = [
	...Object.keys(commandWeights),
	"a connect for nobody",
	"a client expires in use",
	"an idle client expires",
	"an idle client is closed after a time",
	"several wait",
];

function note(what: string): void {
	seen.set(what, (seen.get(what) ?? 0) + 1);
}

class Comparison {
	readonly #theirs: World;
	readonly #ours: World;
	readonly #time: VirtualTime;
	readonly #steps: string[] = [];

	constructor(setting: Setting, time: VirtualTime) {
		this.#theirs = new World(pg.Pool, setting);
		this.#ours = new World(Pool as typeof pg.Pool, setting);
		this.#time = time;
	}

	/** @returns whether the run may go on */
	async run([name, n]: Command): Promise<boolean> {
		const step = this.#stepFor(name, n);
		if (step === undefined) return true;
		note(name);
		this.#steps.push(`${name} (${n})`);
		if (name === "time passes") return this.#passTime(n);
		for (const world of [this.#theirs, this.#ours]) await step(world);
		await settleAll();
		if (name === "end") this.#compare(Differences.orderOfClosing);
		else this.#compare(Differences.announcedBeforeVerify);
		return true;
	}

	/** Undefined where the command makes no sense, or leads to a difference. */
	#stepFor(name: CommandName, n: number): ((world: World) => unknown) | undefined {
		const theirs = this.#theirs;
		const hasHeld = theirs.held.length > 0;
		const mayConnect = theirs.connecting.length > 0;
		const mayKeep = hasHeld && !Differences.releaseDuringConnect(theirs);
		const socketOfUsed = (world: World): FakeSocket => socketOf(world.held[n % world.held.length]?.client);
		const hasIdle = theirs.idle.length > 0;
		const idle = (world: World): FakeSocket | undefined => world.idle[n % world.idle.length];
		const hasOpen = hasHeld && socketOfUsed(theirs).state === "open";
		switch (name) {
			case "acquire":
				return (world) => world.acquire();
			case "query succeeds":
				return (world) => world.query("select");
			case "query fails":
				return (world) => world.query("fail");
			case "query loses the connection":
				return (world) => world.query("break");
			case "release":
				return mayKeep ? (world) => world.release(n) : undefined;
			case "release with true":
				return hasHeld ? (world) => world.release(n, true) : undefined;
			case "release with an error":
				return hasHeld ? (world) => world.release(n, new Error("of no use any more")) : undefined;
			case "release once more":
				return (world) => world.releaseOnceMore(n);
			case "a connect succeeds":
				return mayConnect && !Differences.connectForQuery(theirs) ? (world) => world.answerConnect("accept") : undefined;
			case "a connect is refused":
				return mayConnect ? (world) => world.answerConnect("refuse") : undefined;
			case "a connect breaks":
				return mayConnect ? (world) => world.answerConnect("break") : undefined;
			case "onConnect rejects":
				return mayConnect ? (world) => world.answerConnect("accept", "onConnect") : undefined;
			case "verify refuses":
				return mayConnect ? (world) => world.answerConnect("accept", "verify") : undefined;
			case "the network of a used client fails":
				return hasOpen ? (world) => socketOfUsed(world).break() : undefined;
			case "a used client is terminated":
				return hasOpen ? (world) => socketOfUsed(world).terminate() : undefined;
			case "the application ends a used client":
				return hasOpen ? (world) => world.endClient(n) : undefined;
			case "the network of an idle client fails":
				return hasIdle ? (world) => idle(world)?.break() : undefined;
			case "an idle client is terminated":
				return hasIdle ? (world) => idle(world)?.terminate() : undefined;
			case "time passes":
				return () => {};
			case "end":
				return Differences.endWithWaiters(theirs) ? undefined : (world) => world.end();
		}
	}

	async #passTime(n: number): Promise<boolean> {
		let millis = [10, 20, 40, 60, 150, 300, 600][n % 7] as number;
		while (Differences.idleTimeout(this.#theirs, millis)) millis += 10;
		let comparable: number | undefined;
		for (let passed = 0; passed < millis; passed += 10) {
			await this.#time.pass(10, () => {
				if (Differences.connectForNobody(this.#theirs)) comparable ??= this.#theirs.answers.length;
			});
			if (comparable === undefined) continue;
			note("a connect for nobody");
			const answers = ({ answers }: World): Entry[] => Differences.timeOuts(answers).slice(0, comparable);
			expectSame(answers(this.#ours), answers(this.#theirs), this.#steps);
			return false;
		}
		const { events, pool } = this.#theirs;
		const removals = events.filter(([event]) => event === "remove").length;
		const expiries = events.filter(([event]) => event === "acquire").length;
		if (expiries > 0) note("an idle client expires");
		if (removals > expiries) note("an idle client is closed after a time");
		if (pool.expiredCount > 0) note("a client expires in use");
		if (pool.waitingCount > 1) note("several wait");
		this.#compare((entries) => Differences.orderOfClosing(Differences.acquiresForNobody(entries)));
		return true;
	}

	#compare(normalise: (events: Entry[]) => Entry[]): void {
		const [theirs, ours] = [this.#theirs, this.#ours].map((world) => ({
			answers: Differences.timeOuts(Differences.answersOfQueries(world.answers)),
			events: normalise(world.events),
			countsAfterRelease: world.countsAfterRelease,
			state: world.state(),
		}));
		expectSame(ours, theirs, this.#steps);
		this.#theirs.forgetTheStep();
		this.#ours.forgetTheStep();
	}
}

/** fast-check shows the message of what fails, but not mocha's comparison. */
function expectSame(ours: unknown, theirs: unknown, steps: string[]): void {
	const show = (value: unknown): string => inspect(value, { depth: 5, breakLength: 120 });
	if (isDeepStrictEqual(ours, theirs)) return;
	throw new Error(`after ${steps.join(", ")}\npg-pool: ${show(theirs)}\nforksafe: ${show(ours)}`);
}

describe("the differential test against pg-pool", () => {
	it(`finds no difference but those listed (${RUNS} runs)`, async function () {
		this.timeout(RUNS * 200);
		const time = new VirtualTime().install();
		try {
			await fc.assert(
				fc.asyncProperty(settings, commands, async (setting, list) => {
					time.forget(); // the pools of the run before
					const comparison = new Comparison(setting, time);
					for (const command of list) if (!(await comparison.run(command))) return;
				}),
				{ numRuns: RUNS },
			);
		} finally {
			time.uninstall();
		}
		if (RUNS < 500) return;
		for (const situation of SITUATIONS) expect(seen.get(situation) ?? 0, `how often: ${situation}`).to.be.greaterThan(0);
	});
});

describe("like pg-pool, ours", () => {
	it("does not count a client as expired that is being closed", async () => {
		const time = new VirtualTime().install();
		try {
			for (const PoolClass of [pg.Pool, Pool as typeof pg.Pool]) {
				const world = new World(PoolClass, { byCallback: false, max: 1, maxLifetimeSeconds: LIFETIME_SECONDS });
				world.acquire();
				await world.answerConnect("accept");
				for (const socket of world.sockets) socket.isSlowToClose = true;
				world.release(0, true);
				await time.pass(LIFETIME_SECONDS * 1000);
				expect(world.counts()).to.include({ totalCount: 0, expiredCount: 0 });
				world.sockets[0]?.break();
				await settleAll();
			}
		} finally {
			time.uninstall();
		}
	});
});

describe("where it differs from pg-pool on purpose", () => {
	const two = { byCallback: false, max: 2 };

	async function inBothWorlds(setting: Setting, steps: (world: World) => void | Promise<void>): Promise<[World, World]> {
		const worlds = [new World(pg.Pool, setting), new World(Pool as typeof pg.Pool, setting)] as const;
		for (const world of worlds) {
			await steps(world);
			await settleAll();
		}
		return [...worlds];
	}

	it("a client that comes back goes to whoever waits, also when a connect is under way for them", async () => {
		const [theirs, ours] = await inBothWorlds(two, async (world) => {
			world.acquire();
			await world.answerConnect("accept");
			world.acquire();
			await settleAll();
			world.release(0);
		});
		expect([...theirs.unanswered.keys()]).to.deep.equal(["acquire 2"]);
		expect(theirs.pool.idleCount).to.equal(1);
		expect(ours.unanswered.size).to.equal(0);
		expect(ours.answers.at(-1)).to.deep.equal(["acquire 2", { client: "client 1", isDone: true }]);
	});

	it("a connect that fails is told to whoever waits longest", async () => {
		const [theirs, ours] = await inBothWorlds(two, async (world) => {
			world.acquire();
			world.acquire();
			await settleAll();
			world.connecting[1]?.answer("break");
		});
		expect([...theirs.unanswered.keys()]).to.deep.equal(["acquire 1"]);
		expect([...ours.unanswered.keys()]).to.deep.equal(["acquire 2"]);
	});

	it("whoever waits at the end is told so", async () => {
		const [theirs, ours] = await inBothWorlds({ ...two, max: 1 }, async (world) => {
			world.acquire();
			await world.answerConnect("accept");
			world.acquire();
			world.end();
			await settleAll();
			world.release(0);
		});
		expect(theirs.pool.ended).to.equal(true);
		expect([...theirs.unanswered.keys()]).to.deep.equal(["acquire 2"]);
		expect(ours.pool.ended).to.equal(true);
		expect(ours.answers).to.deep.include([
			"acquire 2",
			{ error: "Cannot use a pool after calling end on the pool", class: "Error", code: undefined, client: undefined },
		]);
	});

	it("a client that is being closed counts against max", async () => {
		const [theirs, ours] = await inBothWorlds({ ...two, max: 1 }, async (world) => {
			world.acquire();
			await world.answerConnect("accept");
			for (const socket of world.sockets) socket.isSlowToClose = true;
			world.release(0, true);
			world.acquire();
		});
		expect(theirs.sockets.map(({ state }) => state)).to.deep.equal(["open", "connecting"]);
		expect(ours.sockets.map(({ state }) => state)).to.deep.equal(["open"]);
		ours.sockets[0]?.break();
		await settleAll();
		expect(ours.sockets.map(({ state }) => state)).to.deep.equal(["closed", "connecting"]);
		for (const socket of [...theirs.sockets, ...ours.sockets]) socket.break();
		await settleAll();
	});

	it("a connect that may succeed soon is tried again, as long as somebody waits", async () => {
		const time = new VirtualTime().install();
		try {
			const [theirs, ours] = await inBothWorlds(two, async (world) => {
				world.acquire();
				await world.answerConnect("refuse for now");
				await time.pass(20);
				await world.answerConnect("accept");
			});
			expect(theirs.answers.at(-1)?.[1]).to.include({ code: "53300" });
			expect(theirs.sockets.map(({ state }) => state)).to.deep.equal(["closed"]);
			expect(ours.answers).to.deep.equal([["acquire 1", { client: "client 2", isDone: true }]]);
		} finally {
			time.uninstall();
		}
	});

	it("the first of several connects goes ahead", async () => {
		const time = new VirtualTime().install();
		try {
			const pool = new World(Pool as typeof pg.Pool, { ...two, connectHeadStartMillis: 2 });
			pool.acquire();
			pool.acquire();
			await settleAll();
			expect(pool.counts()).to.include({ totalCount: 1, waitingCount: 0 });
			await time.pass(2);
			expect(pool.counts()).to.include({ totalCount: 2, waitingCount: 0 });
			for (const socket of pool.sockets) socket.answer("break");
			await settleAll();
		} finally {
			time.uninstall();
		}
	});

	it("a client whose server shuts down takes the others with it", async () => {
		const [theirs, ours] = await inBothWorlds(two, async (world) => {
			for (let count = 0; count < 2; count++) {
				world.acquire();
				await world.answerConnect("accept");
			}
			world.release(0);
			world.release(0);
			world.sockets[0]?.shutDown();
		});
		expect(theirs.pool.totalCount).to.equal(1);
		expect(ours.pool.totalCount).to.equal(0);
	});

	it("a client that has been idle for a while is asked whether its server still answers", async () => {
		const time = new VirtualTime().install();
		try {
			const [theirs, ours] = await inBothWorlds(two, async (world) => {
				world.acquire();
				await world.answerConnect("accept");
				world.release(0);
				await time.pass(1_001);
				world.sockets[0]?.goSilent();
				world.acquire();
				await settleAll();
			});
			expect(theirs.held).to.have.lengthOf(1);
			expect(ours.held).to.have.lengthOf(0);
			await time.pass(5_000);
			expect(ours.sockets.map(({ state }) => state)).to.deep.equal(["closed", "connecting"]);
			ours.connecting[0]?.answer("accept");
			await settleAll();
			expect(ours.held).to.have.lengthOf(1);
		} finally {
			time.uninstall();
		}
	});

	it("callbacks are not called from within connect and release", async () => {
		const within: Record<string, boolean> = {};
		await inBothWorlds(two, async ({ pool }) => {
			const name = pool instanceof Pool ? "ours" : "theirs";
			await pool.end();
			let hasReturned = false;
			pool.connect(() => {
				within[name] = !hasReturned;
			});
			hasReturned = true;
		});
		expect(within).to.deep.equal({ theirs: true, ours: false });
	});
});
