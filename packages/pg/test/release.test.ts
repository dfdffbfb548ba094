import { expect } from "chai";
import { thrown } from "../../../test/support/promises.ts";
import { scoped } from "../../../test/support/scoped.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import type { PoolClient } from "../src/index.ts";
import { untilSessions } from "./support/database.ts";
import { openPool, uniqueName } from "./support/set-up.ts";

const TWICE = "Release called on client which has already been released to the pool.";

describe("release", () => {
	it("throws in pg-pool's words when it is called twice, and changes nothing", async () => {
		const pool = openPool();
		const released: unknown[] = [];
		pool.on("release", (error) => released.push(error));
		const client = await pool.connect();
		client.release();
		for (const how of [undefined, true, new Error("late")]) {
			expect(thrown(() => client.release(how)).message).to.equal(TWICE);
		}
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
		expect(released).to.deep.equal([undefined]);
	});

	it("throws when the first one closed the client", async () => {
		const pool = openPool();
		const client = await pool.connect();
		client.release(true);
		expect(thrown(() => client.release()).message).to.equal(TWICE);
		expect(pool.totalCount).to.equal(0);
	});

	it("throws when done was called before, which is the same", async () => {
		const pool = openPool();
		const [client, done] = await new Promise<[unknown, () => void]>((resolve) =>
			pool.connect((_error, connected, release) => resolve([connected, release])),
		);
		expect((client as { release: unknown }).release).to.equal(done);
		done();
		expect(thrown(done).message).to.equal(TWICE);
	});

	it("by a done of an earlier use never takes the client from whoever has it now", async () => {
		const pool = openPool({ max: 1 });
		const connect = (): Promise<[PoolClient, () => void]> =>
			new Promise((resolve) => pool.connect((_error, client, done) => resolve([client as PoolClient, done])));
		const [client, done] = await connect();
		done();
		const [again, doneAgain] = await connect();
		expect(again).to.equal(client);
		expect(thrown(done).message).to.equal(TWICE);
		expect(pool).to.include({ totalCount: 1, idleCount: 0 });
		await again.query("select 1");
		doneAgain();
		expect(pool.idleCount).to.equal(1);
	});

	it("happens at the end of a using block", async () => {
		const pool = openPool();
		await scoped(await pool.connect(), async (client) => {
			await client.query("select 1");
			expect(pool.idleCount).to.equal(0);
		});
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
	});

	it("at the end of a using block is left out when it was done inside, also when somebody else has the client by then", async () => {
		const pool = openPool({ max: 1 });
		const next = await scoped(await pool.connect(), async (client) => {
			client.release();
			const taken = await pool.connect();
			expect(taken).to.equal(client);
			return taken;
		});
		expect(pool).to.include({ totalCount: 1, idleCount: 0 });
		next.release(true);
		next[Symbol.dispose]();
		expect(pool.totalCount).to.equal(0);
	});

	it("of an earlier use never takes the client from whoever has it now", async () => {
		const pool = openPool();
		const client = await pool.connect();
		const { release } = client;
		release();
		const again = await pool.connect();
		expect(again).to.equal(client);
		expect(thrown(() => release(true)).message).to.equal(TWICE);
		expect(pool).to.include({ totalCount: 1, idleCount: 0 });
		await again.query("select 1");
		again.release();
		expect(pool.idleCount).to.equal(1);
	});

	it("after the end of the pool closes the client", async () => {
		const applicationName = uniqueName();
		const pool = openPool({ application_name: applicationName });
		const client = await pool.connect();
		const ended = pool.end();
		await client.query("select 1");
		client.release();
		await ended;
		expect(pool).to.include({ totalCount: 0, ended: true });
		await untilSessions(applicationName, 0);
	});

	it("of a client that the application has ended itself takes it out", async () => {
		const pool = openPool({ max: 1 });
		const client = await pool.connect();
		await client.end();
		client.release();
		expect(pool.totalCount).to.equal(0);
		await pool.query("select 1");
	});

	it("of a client that is just being ended takes it out", async () => {
		const pool = openPool({ max: 1 });
		const client = await pool.connect();
		const ended = client.end();
		client.release();
		expect(pool).to.include({ totalCount: 0, idleCount: 0 });
		await ended;
		await pool.query("select 1");
	});

	it("does not keep a client that the application ends afterwards", async () => {
		const pool = openPool({ max: 1 });
		const client = await pool.connect();
		client.release();
		await client.end();
		await untilTrue(() => pool.totalCount === 0, { what: "the client was taken out" });
		await pool.query("select 1");
	});

	it("of a client of another pool is that pool's business", async () => {
		const [pool, other] = [openPool(), openPool()];
		const stranger = await other.connect();
		expect(thrown(() => pool["core"].release(stranger))).to.include({ code: "ERR_FORKSAFE_RELEASE" });
		stranger.release();
		expect(pool.totalCount).to.equal(0);
		expect(other).to.include({ totalCount: 1, idleCount: 1 });
	});
});

describe("evict", () => {
	it("closes idle clients now, and those in use when they come back", async () => {
		const pool = openPool({ max: 2 });
		const [idle, used] = [await pool.connect(), await pool.connect()];
		idle.release();
		pool.evict();
		expect(pool).to.include({ totalCount: 1, idleCount: 0 });
		const before = used.processID;
		await used.query("select 1");
		used.release();
		expect(pool).to.include({ totalCount: 0, idleCount: 0 });
		const { rows } = await pool.query<{ pid: number }>("select pg_backend_pid() as pid");
		expect(rows[0]?.pid).not.to.equal(before);
	});
});

describe("leakThresholdMillis", () => {
	it("reports a client that is held for too long, with who took it", async () => {
		const lines: string[] = [];
		const pool = openPool({ leakThresholdMillis: 1, log: (line: string) => lines.push(line) });
		const client = await (async function forgetful() {
			return pool.connect();
		})();
		await untilTrue(() => lines.length > 0, { what: "the leak was reported" });
		expect(lines[0])
			.to.match(/has been held for \d+ ms; acquired\n/)
			.and.to.include("forgetful");
		client.release();
	});
});
