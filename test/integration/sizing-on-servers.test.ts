/** Servers that are full to the last connection: what `forksafe-sizing` says of a plan is what they do. */
import { Pool as ForkSafePool } from "@forksafe/pg";
import { expect } from "chai";
import pg from "pg";
import type { SizingPlan } from "../../scripts/sizing/plan.ts";
import { sizing } from "../../scripts/sizing/sizing.ts";
import { ask } from "../faces/postgres-view.ts";
import { afterThisTest } from "../support/after-this-test.ts";
import { type EmbeddedServer, startEmbeddedServer } from "../support/embedded-server.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { untilTrue } from "../support/until-true.ts";

function fits(plan: SizingPlan): boolean {
	return sizing(plan).warnings.length === 0;
}

describe("a plan on a real server", () => {
	const maxConnections = 20;
	let server: EmbeddedServer;
	let url: string;

	before(async function () {
		this.timeout(60_000);
		server = await startEmbeddedServer({ maxConnections, tls: false, unixSocket: false });
		// A superuser would be let into the reserved connections.
		await ask(server.url, "create role app login password 'app'");
		url = Object.assign(new URL(server.url), { username: "app", password: "app" }).href;
	});
	after(() => server?.stop());

	async function sessions(): Promise<number> {
		const [row] = await ask<{ n: number }>(server.url, "select count(*)::int as n from pg_stat_activity where usename = 'app'");
		return row?.n ?? 0;
	}

	/** Opens all connections of a plan at once. */
	async function openAll(
		at: string,
		plan: SizingPlan,
		Pool: typeof pg.Pool = pg.Pool,
	): Promise<{ clients: pg.PoolClient[]; codes: unknown[] }> {
		await untilTrue(async () => (await sessions()) === 0, { what: "nobody else is there" });
		const { processes, max, instances = 1, rolling = false } = plan;
		const count = processes * instances * (rolling ? 2 : 1);
		const pools = Array.from({ length: count }, () => new Pool({ connectionString: at, max, connectionTimeoutMillis: 10_000 }));
		const results = await Promise.allSettled(pools.flatMap((pool) => Array.from({ length: max }, () => pool.connect())));
		const clients = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
		afterThisTest(async () => {
			for (const client of clients) client.release();
			await Promise.all(pools.map((pool) => pool.end()));
		});
		return { clients, codes: results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : [])) };
	}

	for (const plan of [
		{ processes: 1, max: 17 },
		{ processes: 17, max: 1 },
		{ processes: 2, max: 2, instances: 2, rolling: true },
		{ processes: 3, max: 5 },
	].map((sizes) => ({ ...sizes, maxConnections }))) {
		const name = JSON.stringify(plan).replaceAll('"', "");

		for (const [library, Pool] of [
			["pg", pg.Pool],
			["forksafe", ForkSafePool],
		] as const) {
			it(`is served to its last connection by ${library}'s pools where the calculator says that it fits: ${name}`, async () => {
				expect(fits(plan)).to.equal(true);
				const { clients, codes } = await openAll(url, plan, Pool);
				expect(codes).to.deep.equal([]);
				expect(clients).to.have.length(sizing(plan).figures[0]?.value ?? 0);
				expect(await sessions()).to.equal(clients.length);
			});
		}

		// By pg's pools: ours try again until there is room.
		it(`is refused where it warns, with one more for each process: ${name}`, async () => {
			const larger = { ...plan, max: plan.max + 1 };
			const { figures, warnings } = sizing(larger);
			expect(warnings).to.have.length(1);
			const { codes } = await openAll(url, larger);
			expect(new Set(codes)).to.deep.equal(new Set(["53300"]));
			// More at times: who is about to be refused has a connection for the moment.
			expect(codes.length).to.be.at.least((figures[0]?.value ?? 0) - (figures[0]?.limit ?? 0));
		});
	}

	it("goes through a PgBouncer where it fits, which has as many server connections as it says, and is refused above", async function () {
		this.timeout(300_000); // it may have to be installed
		const pooler = { size: 5, maxClients: 12 };
		const plan: SizingPlan = { processes: 4, max: 3, maxConnections, pooler };
		const bouncer = await startPgBouncer(url, { default_pool_size: pooler.size, max_client_conn: pooler.maxClients });
		afterThisTest(() => bouncer.stop());
		expect(fits(plan)).to.equal(true);
		const { clients, codes } = await openAll(bouncer.url, plan);
		expect({ clients: clients.length, codes }).to.deep.equal({ clients: 12, codes: [] });

		const seen = Promise.withResolvers<void>();
		const transactions = clients.map(async (client) => {
			await client.query("begin");
			await seen.promise;
			await client.query("commit");
		});
		const waiting = async (): Promise<boolean> => {
			const pools = await bouncer.command<{ cl_waiting: string }>("SHOW POOLS");
			return pools.some(({ cl_waiting }) => Number(cl_waiting) === clients.length - pooler.size);
		};
		await untilTrue(waiting, { what: "the others wait" });
		expect(await sessions()).to.equal(sizing(plan).figures[1]?.value);
		seen.resolve();
		await Promise.all(transactions);

		const one = new pg.Client(bouncer.url);
		expect(fits({ ...plan, processes: 13, max: 1 })).to.equal(false);
		const refusal = await one.connect().catch((error: unknown) => error);
		expect(refusal).to.include({ code: "08P01", message: "no more connections allowed (max_client_conn)" });
	});
});
