import { once } from "node:events";
import type { Readable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import type { Knex } from "knex";
import { follow } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { backendOf, destroyAll, hold, poolOf, serverConnection } from "./support/database.ts";
import { guarded } from "./support/subjects.ts";

/** Few rows: they wait in the stream's buffer, and the query ends, while nobody reads. */
const FEW = "select generate_series(1, 5) as n";
const MANY = "select generate_series(1, 100000) as n";

/** Streams whose second release comes when somebody else may have the connection, and what has to happen to them for it. */
const SLOW_ENDS: Record<string, (stream: Readable) => void> = {
	"is read to its end": (stream) => stream.resume(),
	"is destroyed": (stream) => stream.destroy(),
};

/** A stream whose query has ended and has released its connection, while the stream itself is still open. */
async function halfOver(db: Knex): Promise<Readable> {
	const stream = db.raw(FEW).stream();
	await untilTrue(() => stream.readableLength === 5 && poolOf(db).numFree() === 1, { what: "the query has ended" });
	return stream;
}

/** Ends the stream when a transaction has its connection, and asks for one more: only `max: 1` is there. */
async function othersDuringTransaction(db: Knex, end: (stream: Readable) => void): Promise<string> {
	const stream = await halfOver(db);
	const trx = await db.transaction();
	await trx.raw("select pg_current_xact_id()");
	const closed = once(stream, "close");
	end(stream);
	await closed;
	const other = follow(Promise.resolve(db.raw("select pg_current_xact_id_if_assigned() is not null as is_inside")));
	// Whatever the other has sent on the same connection meanwhile is answered before the second of these.
	for (const sql of ["select pg_sleep(0.05)", "select 1"]) await trx.raw(sql);
	const { state, value } = other;
	await trx.commit();
	if (state === "pending") {
		await untilTrue(() => other.state === "fulfilled", { what: "the other is served when the transaction is over" });
		return `waited, then inside a transaction: ${other.value.rows[0].is_inside}`;
	}
	return `served, inside a transaction: ${value.rows[0].is_inside}`;
}

for (const { name, version, open, openOver } of guarded) {
	describe(`a stream, ${name}`, () => {
		const pool = { min: 0, max: 1 };
		let warnings: Error[];
		const onWarning = (warning: Error): void => void warnings.push(warning);

		beforeEach(() => {
			warnings = [];
			process.on("warning", onWarning);
		});
		afterEach(async () => {
			process.off("warning", onWarning);
			await destroyAll();
		});

		for (const [what, end] of Object.entries(SLOW_ENDS)) {
			it(`frees nobody else's connection when it ${what}, and warns nobody: that Knex releases twice is no mistake of the application`, async () => {
				const { db } = open({ pool });
				expect(await othersDuringTransaction(db, end)).to.equal("waited, then inside a transaction: false");
				await turn();
				expect(warnings).to.deep.equal([]);
			});

			it(`frees a connection inside somebody's transaction, with Knex's own client, when it ${what}`, async () => {
				const { db } = open({ pool, client: "pg" });
				expect(await othersDuringTransaction(db, end)).to.equal("served, inside a transaction: true");
			});
		}

		for (const [isPlain, what] of [
			[false, "serves one of those who wait"],
			[true, "serves two of those who wait with one connection, with Knex's own client,"],
		] as const) {
			it(`${what} when it ends`, async () => {
				const { db } = open({ pool, ...(isPlain && { client: "pg" }) });
				const stream = db.raw(FEW).stream();
				const [first, second] = [hold(db), hold(db)];
				const [firstServed, secondServed] = [follow(first), follow(second)];
				expect(await stream.toArray()).to.have.lengthOf(5);
				const connection = await first;
				// Whoever is served by mistake is validated first.
				for (let turns = 0; turns < 10; turns++) await turn();
				expect(firstServed.state).to.equal("fulfilled");
				expect(secondServed.value).to.equal(isPlain ? connection : undefined);
				await db.client.releaseConnection(connection);
				await db.client.releaseConnection(await second);
			});
		}

		it("gives its connection back once, and without a warning, in whatever way it ends", async () => {
			const { db } = open({ pool });
			let released = 0;
			poolOf(db).on("release", () => released++);
			const ends: [string, (stream: Readable) => unknown][] = [
				[FEW, (stream) => stream.toArray()],
				[MANY, (stream) => stream.once("data", () => stream.destroy())],
				[MANY, (stream) => stream.once("data", () => stream.destroy(new Error("no")))],
				["select 1 / (n - 3) from generate_series(1, 5) as n", (stream) => stream.resume()],
				["select 1 / (n - 3) from generate_series(1, 5) as n", (stream) => stream.on("error", () => stream.destroy())],
				["select nonsense", (stream) => stream.on("error", () => stream.destroy())],
			];
			for (const [index, [sql, end]] of ends.entries()) {
				const stream = db.raw(sql).stream();
				stream.on("error", () => {});
				end(stream);
				await untilTrue(() => released === index + 1, { what: `stream ${index} has released its connection` });
				expect(await backendOf(db)).to.be.a("number");
				released--; // of backendOf
				expect(released).to.equal(index + 1);
			}
			await turn();
			expect(warnings).to.deep.equal([]);
		});

		it("gives its connection back when it is destroyed before it has one", async () => {
			const { db } = open({ pool });
			const held = await hold(db);
			const stream = db.raw(MANY).stream();
			stream.destroy();
			await once(stream, "close");
			await db.client.releaseConnection(held);
			expect(await backendOf(db)).to.equal(held.processID);
			await untilTrue(() => poolOf(db).numUsed() === 0, { what: "nobody has a connection" });
		});

		it("leaves a connection that it was given with whoever gave it", async () => {
			const { db } = open({ pool });
			const held = await hold(db);
			expect(await db.raw(FEW).connection(held).stream().toArray()).to.have.lengthOf(5);
			await turn();
			expect(poolOf(db).numUsed()).to.equal(1);
			await db.client.releaseConnection(held);
			expect(warnings).to.deep.equal([]);
		});

		it("runs inside its transaction, which keeps the connection", async () => {
			const { db } = open({ pool });
			await db.transaction(async (trx) => {
				const backend = await backendOf(trx);
				expect(await trx.raw("select pg_backend_pid() as pid").stream().toArray()).to.deep.equal([{ pid: backend }]);
				await turn();
				expect(poolOf(db).numUsed()).to.equal(1);
				expect(await backendOf(trx)).to.equal(backend);
			});
		});

		it("tells its error to whoever listens, and to whoever awaits its handler", async () => {
			const { db } = open({ pool });
			const [error] = await once(db.raw("select nonsense").stream(), "error").catch((reason: unknown) => [reason]);
			expect(error).to.include({ code: "42703" });
			const seen: unknown[] = [];
			await db.raw(FEW).stream((stream: Readable) => void stream.on("data", (row) => seen.push(row)));
			// Knex 3.1 does not wait for the last row.
			await untilTrue(() => seen.length === 5, { what: "all rows were seen" });
		});

		// Knex 3.1 has no connectionPool.
		if (version === "3.3")
			it("releases once to a pool of @forksafe/pg, which throws at a second release", async () => {
				const { application_name, ...connection } = serverConnection();
				const pg = new Pool({ ...(connection as object), application_name, max: 1 });
				const db = openOver(pg);
				const unhandled: unknown[] = [];
				const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
				process.on("unhandledRejection", onUnhandled);
				expect(await db.raw(FEW).stream().toArray()).to.have.lengthOf(5);
				expect(await backendOf(db)).to.be.a("number");
				process.off("unhandledRejection", onUnhandled);
				expect(unhandled).to.deep.equal([]);
				expect(pg.idleCount).to.equal(1);
				await pg.end();
			});
	});
}

for (const { name, open } of guarded) {
	describe(`a connection that the application releases twice, ${name}`, () => {
		afterEach(destroyAll);

		it("is taken back once; the second release is ignored and reported, the first time", async () => {
			const { db } = open({ pool: { min: 0, max: 1 } });
			const held = await hold(db);
			await db.client.releaseConnection(held);
			const warned = once(process, "warning");
			await db.client.releaseConnection(held);
			const [warning] = await warned;
			expect(warning).to.include({ name: "ForkSafeWarning", code: "FORKSAFE_RELEASE" });
			expect(warning.stack).to.include("stream-lease.test.ts");
		});
	});
}
