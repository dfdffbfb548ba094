/** The same steps on pg's own pool and on ours, and what each of them says about it. */
import { expect } from "chai";
import pg from "pg";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { Pool, type PoolConfig } from "../src/index.ts";
import { databaseUrl, terminate } from "./support/database.ts";
import { afterThisTest, openPool } from "./support/set-up.ts";

/** Writes down what a pool emits, with names for clients, and what it counts when it is asked to. */
class Recorder {
	readonly log: unknown[][] = [];
	readonly pool: pg.Pool;
	readonly #names = new Map<unknown, string>();

	constructor(pool: pg.Pool) {
		this.pool = pool;
		for (const event of ["connect", "acquire", "remove", "release", "error"]) {
			pool.on(event as "connect", (...args: unknown[]) => this.log.push([event, ...args.map((arg) => this.#show(arg))]));
		}
	}

	count(when: string): void {
		const { totalCount, idleCount, waitingCount, expiredCount, ending, ended } = this.pool;
		this.log.push([when, { totalCount, idleCount, waitingCount, expiredCount, ending, ended }]);
	}

	async until(event: string, count = 1): Promise<void> {
		await untilTrue(() => this.log.filter(([name]) => name === event).length >= count, { what: `${count} times ${event}` });
	}

	#show(value: unknown): unknown {
		if (value instanceof pg.Client) {
			if (!this.#names.has(value)) this.#names.set(value, `client ${this.#names.size + 1}`);
			return this.#names.get(value);
		}
		return value instanceof Error ? { error: value.message, client: this.#show((value as { client?: unknown }).client) } : value;
	}
}

/** What both pools take. */
type SharedConfig = PoolConfig & pg.PoolConfig;
type Steps = (recorder: Recorder) => Promise<unknown>;

/** Runs the steps on both; what was logged until they end has to be the same, and is given back. */
async function compare(config: SharedConfig, steps: Steps): Promise<unknown[][]> {
	const { theirs, ours } = await play(config, steps);
	expect(ours).to.deep.equal(theirs);
	return ours;
}

async function play(config: SharedConfig, steps: Steps): Promise<{ theirs: unknown[][]; ours: unknown[][] }> {
	const theirPool = new pg.Pool({ connectionString: databaseUrl(), ...config });
	afterThisTest(async () => theirPool.ending || (await theirPool.end()));
	const [theirs, ours] = [new Recorder(theirPool), new Recorder(openPool({ connectHeadStartMillis: 0, ...config }))];
	await steps(theirs);
	await steps(ours);
	return { theirs: theirs.log, ours: ours.log };
}

function names(log: unknown[][]): unknown[] {
	return log.map(([name]) => name);
}

describe("events and counters are those of pg's pool", () => {
	it("when a client is opened, used, given back and used again", async () => {
		const log = await compare({}, async (recorder) => {
			const { pool } = recorder;
			recorder.count("new");
			const first = await pool.connect();
			recorder.count("in use");
			await first.query("select 1");
			first.release();
			recorder.count("idle");
			const again = await pool.connect();
			recorder.count("in use again");
			again.release();
			recorder.count("idle again");
		});
		expect(log.filter(([event]) => ["connect", "acquire", "release"].includes(event as string))).to.deep.equal([
			["connect", "client 1"],
			["acquire", "client 1"],
			["release", undefined, "client 1"],
			["acquire", "client 1"],
			["release", undefined, "client 1"],
		]);
	});

	for (const how of [false, true, new Error("broken")]) {
		it(`when a client is given back with ${how}`, async () => {
			const log = await compare({}, async (recorder) => {
				const client = await recorder.pool.connect();
				client.release(how);
				recorder.count("given back");
				if (how !== false) await recorder.until("remove");
				recorder.count("after");
			});
			expect(log).to.deep.include(["release", how instanceof Error ? { error: "broken", client: undefined } : how, "client 1"]);
		});
	}

	it("when more wait than there are clients", async () => {
		const log = await compare({ max: 2 }, async (recorder) => {
			const { pool } = recorder;
			const first = await pool.connect();
			const second = await pool.connect();
			const waiting = [1, 2, 3].map(async () => (await pool.connect()).release());
			recorder.count("waiting");
			first.release();
			await Promise.all(waiting);
			recorder.count("served");
			second.release();
			recorder.count("idle");
		});
		expect(log).to.deep.include([
			"waiting",
			{ totalCount: 2, idleCount: 0, waitingCount: 3, expiredCount: 0, ending: false, ended: false },
		]);
	});

	it("while clients are being opened: nobody waits whom one is being opened for", async () => {
		const { theirs, ours } = await play({ max: 2 }, async (recorder) => {
			const { pool } = recorder;
			const coming = [1, 2, 3].map(() => pool.connect());
			recorder.log.push(["opening", pool.totalCount, pool.idleCount, pool.waitingCount]);
			const opened = await Promise.all(coming.slice(0, 2));
			recorder.log.push(["opened", pool.totalCount, pool.idleCount, pool.waitingCount]);
			for (const client of opened) client.release();
			(await coming[2])?.release();
		});
		// Not whole logs: which of the two connects is ready first is chance.
		for (const log of [theirs, ours]) {
			expect(log.filter(([name]) => name === "opening" || name === "opened")).to.deep.equal([
				["opening", 2, 0, 1],
				["opened", 2, 0, 1],
			]);
		}
	});

	it("when a client that somebody waits for is closed", async () => {
		await compare({ max: 1 }, async (recorder) => {
			const client = await recorder.pool.connect();
			const waiting = recorder.pool.connect();
			client.release(true);
			(await waiting).release();
			recorder.count("replaced");
		});
	});

	it("when a query succeeds, and when it fails", async () => {
		const log = await compare({}, async (recorder) => {
			await recorder.pool.query("select 1");
			recorder.count("succeeded");
			await rejection(recorder.pool.query("select 1/0"));
			await recorder.until("remove");
			recorder.count("failed");
		});
		expect(log).to.deep.include(["release", { error: "division by zero", client: undefined }, "client 1"]);
	});

	it("when a connect fails", async () => {
		const log = await compare({ port: 1, host: "127.0.0.1", connectionString: undefined }, async (recorder) => {
			await rejection(recorder.pool.connect());
			recorder.count("failed");
		});
		expect(names(log)).to.deep.equal(["failed"]);
	});

	it("when onConnect fails", async () => {
		const onConnect = (): void => {
			throw new Error("not like this");
		};
		const log = await compare({ onConnect }, async (recorder) => {
			expect((await rejection(recorder.pool.connect())).message).to.equal("not like this");
			recorder.count("failed");
		});
		expect(names(log)).to.deep.equal(["failed"]);
	});

	it("when an idle client loses its server", async () => {
		const log = await compare({}, async (recorder) => {
			const client = await recorder.pool.connect();
			const { processID } = client as unknown as { processID: number };
			client.release();
			await terminate(processID);
			await recorder.until("remove");
			recorder.count("lost");
			await recorder.pool.query("select 1");
		});
		expect(log).to.deep.include([
			"error",
			{ error: "terminating connection due to administrator command", client: "client 1" },
			"client 1",
		]);
	});

	it("when a client has been used as often as it may be", async () => {
		await compare({ maxUses: 2 }, async (recorder) => {
			await recorder.pool.query("select 1");
			recorder.count("used once");
			await recorder.pool.query("select 1");
			recorder.count("used twice");
			await recorder.until("remove");
			await recorder.pool.query("select 1");
		});
	});

	it("when clients are idle for too long", async () => {
		await compare({ idleTimeoutMillis: 20, min: 1 }, async (recorder) => {
			const [first, second] = [await recorder.pool.connect(), await recorder.pool.connect()];
			first.release();
			second.release();
			await recorder.until("remove");
			recorder.count("one is kept");
		});
	});

	it("when the pool ends", async () => {
		// pg-pool's end is over before the sockets have closed, ours when the last has gone: so the log waits for the removals.
		await compare({}, async (recorder) => {
			const { pool } = recorder;
			const [first, second] = [await pool.connect(), await pool.connect()];
			first.release();
			const ended = pool.end();
			recorder.count("ending");
			await recorder.until("remove");
			second.release();
			await ended;
			await recorder.until("remove", 2);
			recorder.count("ended");
		});
	});

	it("when listeners prepare a new client: what they ask comes before what it was wanted for", async () => {
		await compare({}, async (recorder) => {
			recorder.pool.on("connect", (client) => void client.query("set application_name to 'prepared'"));
			const { rows } = await recorder.pool.query("select current_setting('application_name') as name");
			recorder.log.push(rows);
		});
	});
});

describe("events and counters differ from pg's pool on purpose", () => {
	it("when verify fails: nobody has got the client, so nobody is told of it", async () => {
		const verify: NonNullable<PoolConfig["verify"]> = (_client, done) => done(new Error("read only"));
		const { theirs, ours } = await play({ verify }, async (recorder) => {
			expect((await rejection(recorder.pool.connect())).message).to.equal("read only");
			if (recorder.pool instanceof Pool) return;
			await recorder.until("remove");
		});
		expect(names(theirs)).to.deep.equal(["connect", "acquire", "release", "remove"]);
		expect(names(ours)).to.deep.equal([]);
	});

	it("when an idle client is too old: pg-pool takes it out to close it, ours closes it", async () => {
		const { theirs, ours } = await play({ maxLifetimeSeconds: 0.05, idleTimeoutMillis: 1_000_000 }, async (recorder) => {
			await recorder.pool.query("select 1");
			await recorder.until("remove");
			expect(recorder.pool.totalCount).to.equal(0);
		});
		expect(names(theirs)).to.deep.equal(["connect", "acquire", "release", "acquire", "release", "remove"]);
		expect(names(ours)).to.deep.equal(["connect", "acquire", "release", "remove"]);
	});

	it("when a client that was idle for a while is asked for: pg-pool counts it as idle for one more tick, ours checks it", async () => {
		const { theirs, ours } = await play({ validateAfterIdleMillis: 1 }, async (recorder) => {
			const client = await recorder.pool.connect();
			client.release();
			const before = Date.now();
			await untilTrue(() => Date.now() > before + 20, { what: "some time has passed" });
			const taken = recorder.pool.connect();
			recorder.log.length = 0;
			recorder.count("asked");
			expect(await taken).to.equal(client);
			client.release();
		});
		expect(theirs[0]?.[1]).to.include({ totalCount: 1, idleCount: 1, waitingCount: 1 });
		expect(ours[0]?.[1]).to.include({ totalCount: 1, idleCount: 0, waitingCount: 0 });
	});
});
