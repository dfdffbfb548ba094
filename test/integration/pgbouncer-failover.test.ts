/** Two PgBouncers behind a load balancer, and what their administrator does to them. */
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import pg from "pg";
import { inFlight, outcome, soon, talk, warm } from "../scenarios/scenario.ts";
import { afterThisTest } from "../support/after-this-test.ts";
import { Balancer } from "../support/balancer.ts";
import type { PgBouncer } from "../support/pgbouncer.ts";
import { beginElsewhere, connectionsOf, openPgBouncer, openPool, pooledFaces } from "../support/pooled-faces.ts";
import { rejection } from "../support/promises.ts";
import { skipWithReason } from "../support/skip.ts";
import { untilTrue } from "../support/until-true.ts";

/** What was used within this time is handed out without a look, also when it is closed in the meantime. */
const TRUSTED_MILLIS = 20;

/** The first one is in use as long as it is there. */
async function openPair(): Promise<{ first: PgBouncer; second: PgBouncer; url: string }> {
	const [first, second] = [await openPgBouncer(), await openPgBouncer()];
	const balancer = await new Balancer([first.url, second.url]).start();
	afterThisTest(() => balancer.stop());
	return { first, second, url: balancer.urlOf(first.url) };
}

/** So many connections of applications has it. */
async function clientsOf(bouncer: PgBouncer): Promise<number> {
	const clients = await bouncer.command<{ database: string }>("SHOW CLIENTS");
	return clients.filter(({ database }) => database !== "pgbouncer").length;
}

for (const face of pooledFaces) {
	describe(`${face.name}, over two PgBouncers`, () => {
		for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
			it(`goes on over the other one when one ends by ${signal} while the pool is idle: no query fails`, async () => {
				const { first, second, url } = await openPair();
				const subject = openPool(face, { url });
				await warm(subject, 3);
				expect([await clientsOf(first), await clientsOf(second)]).to.deep.equal([3, 0]);
				await first.end(signal);
				await talk(subject, "after the end of the first", 50);
				expect(await clientsOf(second)).to.equal(3);
			});
		}

		it("tells who has a query in flight that the connection is gone, and goes on over the other one", async () => {
			const { first, second, url } = await openPair();
			const subject = openPool(face, { url });
			await warm(subject, 3);
			const running = [1, 2].map(() => rejection(subject.sleep(30_000)));
			await inFlight(subject, 2);
			await first.end("SIGKILL");
			for (const error of await Promise.all(running)) {
				expect(error.message).to.match(/Connection terminated unexpectedly|ECONNRESET/);
			}
			await talk(subject, "after the crash", 50);
			expect(await clientsOf(second)).to.equal(3);
		});

		it("comes back when both are gone for a while: whoever waits is served", async () => {
			const { first, second, url } = await openPair();
			const subject = openPool(face, { url });
			await warm(subject, 3);
			await first.end("SIGKILL");
			await second.end("SIGKILL");
			const waiting = outcome(talk(subject, "meanwhile"));
			await first.restart();
			expect(await soon(waiting, "the answers", 20_000)).to.have.property("value");
		});

		it("waits while one is paused, and is answered on the same connections", async () => {
			const { first, url } = await openPair();
			const subject = openPool(face, { url });
			const backends = await connectionsOf(subject, 3);
			await first.command("PAUSE");
			const answers = outcome(talk(subject, "paused"));
			const isWaiting = async (): Promise<boolean> => {
				const [pool] = (await first.command<{ database: string; cl_waiting: string }>("SHOW POOLS")).filter(
					({ database }) => database !== "pgbouncer",
				);
				return Number(pool?.cl_waiting) === 3;
			};
			await untilTrue(isWaiting, { what: "PgBouncer lets three wait" });
			await first.command("RESUME");
			expect(await soon(answers, "the answers")).to.have.property("value");
			expect(await connectionsOf(subject, 3)).to.have.members(backends);
		});

		it("notices nothing of a RELOAD", async () => {
			const { first, url } = await openPair();
			const subject = openPool(face, { url });
			const backends = await connectionsOf(subject, 3);
			// PgBouncer 1.18 takes a login of its own that a RELOAD breaks off for one that has failed, and tells its clients so.
			await Promise.all([1, 2, 3].map(() => subject.sleep(100)));
			const answers = outcome(talk(subject, "meanwhile", 200));
			await first.reload({ query_wait_timeout: 60 });
			expect(await soon(answers, "the answers", 10_000)).to.deep.equal({ value: undefined });
			expect(await connectionsOf(subject, 3)).to.have.members(backends);
		});

		it("loses its connections by KILL, and has new ones after RESUME: no query fails", async () => {
			const { first, url } = await openPair();
			const subject = openPool(face, { url });
			await warm(subject, 3);
			const database = new pg.Client(first.url).database ?? "";
			await first.command(`KILL "${database}"`);
			await delay(TRUSTED_MILLIS);
			const answers = outcome(talk(subject, "after KILL"));
			await first.command(`RESUME "${database}"`);
			expect(await soon(answers, "the answers", 10_000)).to.have.property("value");
		});

		it("leaves one that waits for its clients as its connections get old, and no query fails", async function () {
			const { first, second, url } = await openPair();
			if (!knowsWaitForClients(first)) {
				skipWithReason(this, `PgBouncer ${first.version} has no SHUTDOWN WAIT_FOR_CLIENTS: it came with 1.23`);
			}
			const subject = openPool(face, { url, idleTimeoutMillis: 100 });
			await warm(subject, 3);
			await first.command("SHUTDOWN WAIT_FOR_CLIENTS");
			const done = first.end("SIGCONT");
			await talk(subject, "meanwhile", 50);
			await done;
			await talk(subject, "afterwards", 50);
			expect(await clientsOf(second)).to.be.above(0);
		});
	});

	describe(`${face.name}, over a PgBouncer that refuses`, () => {
		it("waits for its turn when there are too many clients (max_client_conn)", async () => {
			const bouncer = await openPgBouncer({ max_client_conn: 2 });
			const one = openPool(face, { url: bouncer.url, max: 1 });
			const two = openPool(face, { url: bouncer.url, max: 1 });
			const three = openPool(face, { url: bouncer.url, max: 1 });
			await Promise.all([warm(one, 1), warm(two, 1)]);
			expect(await rejection(plainConnect(bouncer.url))).to.include({ code: "08P01" });
			const waiting = talk(three, "the third");
			await one.end();
			await soon(waiting, "its turn", 10_000);
		});

		it("is told of query_wait_timeout, keeps its other connections, and goes on", async () => {
			const bouncer = await openPgBouncer({ default_pool_size: 1, query_wait_timeout: 1 });
			const subject = openPool(face, { url: bouncer.url });
			const before = await connectionsOf(subject, 3);
			const endTransaction = await beginElsewhere(bouncer.url);
			const error = await rejection(subject.echo("too late"));
			expect(error).to.include({ code: "08P01" });
			expect(error.message).to.include("query_wait_timeout");
			await endTransaction();
			const kept = (await connectionsOf(subject, 3)).filter((connection) => before.includes(connection));
			expect(kept, "connections that were there before").to.have.length(2);
			await talk(subject, "afterwards");
		});

		it("passes on what the server says to PgBouncer's login, at once", async () => {
			const bouncer = await openPgBouncer();
			const url = new URL(bouncer.url);
			url.pathname = "/no_such_database";
			const error = await rejection(soon(openPool(face, { url: url.href }).echo("nobody"), "the refusal"));
			expect(error).to.include({ code: "08P01" });
			expect(error.message).to.include('database "no_such_database" does not exist');
		});

		it("is told of a wrong password at once", async () => {
			const bouncer = await openPgBouncer();
			const url = new URL(bouncer.url);
			url.password = "wrong";
			const error = await rejection(soon(openPool(face, { url: url.href }).echo("nobody"), "the refusal"));
			expect(error.message).to.include("authentication failed");
		});
	});
}

async function plainConnect(url: string): Promise<void> {
	const client = new pg.Client(url);
	client.on("error", () => {});
	await client.connect();
	await client.end();
}

function knowsWaitForClients({ version }: PgBouncer): boolean {
	const [major = 0, minor = 0] = version.split(".").map(Number);
	return major > 1 || minor >= 23;
}
