import { expect } from "chai";
import { runProgram } from "../../../test/support/program.ts";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import type { Client, Pool } from "../src/index.ts";
import { ask, databaseUrl, terminate } from "./support/database.ts";
import { openClient, openPool } from "./support/set-up.ts";

const ADMINISTRATOR = "57P01";

async function idleClientOf(pool: Pool): Promise<Client> {
	const client = await pool.connect();
	client.release();
	return client;
}

function recordErrors(pool: Pool): unknown[][] {
	const errors: unknown[][] = [];
	pool.on("error", (...args: unknown[]) => errors.push(args));
	return errors;
}

describe("an idle connection that is lost", () => {
	it("is an event with the error and the client, once, and the pool recovers", async () => {
		const pool = openPool();
		const errors = recordErrors(pool);
		const client = await idleClientOf(pool);
		const other = await pool.connect();
		let hasEnded = false;
		client.once("end", () => {
			hasEnded = true;
		});
		other.release();
		await terminate(client.processID);
		await untilTrue(() => hasEnded && pool.totalCount === 0, { what: "the client has gone" });
		expect(errors).to.have.lengthOf(1);
		expect(errors[0]?.[0]).to.be.instanceOf(Error).and.to.include({ code: ADMINISTRATOR, client });
		expect(errors[0]?.[1]).to.equal(client);
		await pool.query("select 1");
		expect(pool).to.include({ totalCount: 1, idleCount: 1 });
	});

	it("does not end a program that listens for no error", async () => {
		const { output, exitCode } = await runProgram(new URL("./programs/lost-connection.ts", import.meta.url), {
			deadlineMillis: 8_000,
			env: { DATABASE_URL: databaseUrl() },
		});
		expect(output).to.equal("lost\nrecovered\n");
		expect(exitCode).to.equal(0);
	});

	it("takes no other with it when its network has failed", async () => {
		const pool = openPool();
		recordErrors(pool);
		const [first, second] = [await pool.connect(), await pool.connect()];
		first.release();
		second.release();
		first.connection.stream.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
		await untilTrue(() => pool.totalCount === 1, { what: "one client has gone" });
		const left = await pool.connect();
		expect(left).to.equal(second);
		await left.query("select 1");
		left.release();
	});
});

describe("a connection in use that is lost", () => {
	it("rejects the running query and those behind it, and is taken out when it is released", async () => {
		const pool = openPool({ max: 1 });
		const errors = recordErrors(pool);
		const client = await pool.connect();
		const { processID } = client;
		const running = rejection(client.query("select pg_sleep(60)"));
		const queued = rejection(client.query("select 1"));
		await terminate(processID);
		expect((await running).code).to.equal(ADMINISTRATOR);
		expect((await queued).message).to.be.oneOf(["Connection terminated unexpectedly", "read ECONNRESET"]); // as the network has it
		expect(pool).to.include({ totalCount: 1, idleCount: 0 });
		client.release();
		expect(pool.totalCount).to.equal(0);
		await pool.query("select 1");
		expect(errors).to.deep.equal([]);
	});

	it("ends no program while it does nothing, although nobody listens to the client", async () => {
		const pool = openPool({ max: 1 });
		const client = await pool.connect();
		let hasEnded = false;
		client.once("end", () => {
			hasEnded = true;
		});
		await terminate(client.processID);
		await untilTrue(() => hasEnded, { what: "the client has gone" });
		const waiting = pool.query("select 1");
		expect((await rejection(client.query("select 1"))).message).to.include("not queryable");
		client.release();
		await waiting;
	});

	it("fails the query of the pool, and makes room", async () => {
		const pool = openPool({ max: 1 });
		const running = rejection(pool.query("select pg_sleep(60), 'lost-connections'"));
		await untilTrue(
			async () => {
				const rows = await ask<{ pid: number }>(
					"select pid from pg_stat_activity where state = 'active' and query like '%lost-connections%' and pid <> pg_backend_pid()",
				);
				for (const { pid } of rows) await terminate(pid);
				return rows.length > 0;
			},
			{ what: "the query runs" },
		);
		expect((await running).code).to.equal(ADMINISTRATOR);
		await pool.query("select 1");
		expect(pool.totalCount).to.equal(1);
	});
});

describe("a client without a pool that is lost", () => {
	it("says so as pg's client does", async () => {
		const client = await openClient();
		const errors: (Error & { code?: string })[] = [];
		client.on("error", (error) => errors.push(error));
		await terminate(client.processID);
		await untilTrue(() => errors.length > 1, { what: "both errors of pg have come" });
		expect(errors.map(({ code, message }) => code ?? message)).to.deep.equal([
			ADMINISTRATOR,
			"Connection terminated unexpectedly",
		]);
	});
});
