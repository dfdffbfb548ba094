import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { InheritedConnectionError } from "@forksafe/core";
import { Pool } from "@forksafe/pg";
import { expect } from "chai";
import { CompiledQuery, type DatabaseConnection, Kysely, PostgresDialect } from "kysely";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ForkSafePostgresDialect, type ForkSafePostgresDialectConfig } from "../src/index.ts";
import { backendOf, destroyAll, open, openOver, poolOptions, serverUrl, sessions, type Tables } from "./support/database.ts";

describe("a new connection", () => {
	afterEach(destroyAll);

	it("is prepared once by onCreateConnection, and again by each of a new process", async () => {
		let created = 0;
		let reserved = 0;
		const db = open({
			pool: poolOptions({ max: 1 }),
			onCreateConnection: async (connection) => {
				created++;
				await connection.executeQuery(CompiledQuery.raw(`set application_name = 'prepared'`));
			},
			onReserveConnection: async () => void reserved++,
		});
		const before = [await backendOf(db), await backendOf(db)];
		expect(before[0]).to.equal(before[1]);
		expect([created, reserved]).to.deep.equal([1, 2]);
		pretendFork();
		const after = [await backendOf(db), await backendOf(db)];
		expect(after[0]).to.equal(after[1]).and.not.to.equal(before[0]);
		expect([created, reserved]).to.deep.equal([2, 4]);
	});

	it("is closed when onCreateConnection fails, which is tried again on the next; with Kysely's own dialect it is lost", async () => {
		const failure = Object.assign(new Error("not today"), { code: "E_TODAY" });
		const prepare = () => {
			const backends: number[] = [];
			const onCreateConnection = async (connection: DatabaseConnection): Promise<void> => {
				const { rows } = await connection.executeQuery<{ pid: number }>(CompiledQuery.raw("select pg_backend_pid() as pid"));
				backends.push(rows[0]?.pid as number);
				if (backends.length < 3) throw failure;
			};
			return { backends, onCreateConnection };
		};

		const options = poolOptions({ max: 1 });
		const { backends, onCreateConnection } = prepare();
		const db = open({ pool: options, onCreateConnection });
		expect(await rejection(backendOf(db))).to.equal(failure);
		expect(await rejection(db.transaction().execute(backendOf))).to.equal(failure);
		expect(await backendOf(db)).to.equal(backends[2]);
		expect(await backendOf(db)).to.equal(backends[2]);
		expect(new Set(backends)).to.have.property("size", 3);
		await untilTrue(async () => (await sessions(options.application_name)) === 1, { what: "the two others are closed" });

		const pool = new Pool(poolOptions({ max: 1 }));
		const theirs = openOver(new PostgresDialect({ pool, onCreateConnection: prepare().onCreateConnection }));
		expect(await rejection(backendOf(theirs))).to.equal(failure);
		const waiting = follow(backendOf(theirs));
		await settle();
		expect(waiting.state).to.equal("pending");
		expect(pool).to.include({ totalCount: 1, idleCount: 0, waitingCount: 1 });
	});

	it("is closed when onReserveConnection fails, and prepared anew", async () => {
		const pool = new Pool(poolOptions({ max: 1 }));
		const failure = new Error("not again");
		const did: string[] = [];
		const db = open({
			pool,
			onCreateConnection: async () => void did.push("create"),
			onReserveConnection: async () => {
				did.push("reserve");
				if (did.length === 4) throw failure;
			},
		});
		const first = await backendOf(db);
		expect(await backendOf(db)).to.equal(first);
		expect(await rejection(backendOf(db))).to.equal(failure);
		expect(pool.totalCount).to.equal(0);
		expect(await backendOf(db)).not.to.equal(first);
		expect(did).to.deep.equal(["create", "reserve", "reserve", "reserve", "create", "reserve"]);
	});

	it("is prepared by each Kysely of the same pool", async () => {
		const pool = new Pool(poolOptions({ max: 1 }));
		const prepared: string[] = [];
		const config = (name: string): ForkSafePostgresDialectConfig => ({
			pool,
			onCreateConnection: async () => void prepared.push(name),
		});
		const one = open(config("one"));
		const other = new Kysely<Tables>({ dialect: new ForkSafePostgresDialect(config("other")) });
		const backend = await backendOf(one);
		for (const db of [other, one, other]) expect(await backendOf(db)).to.equal(backend);
		expect(prepared).to.deep.equal(["one", "other"]);
	});

	it("that was being prepared when the process changed fails there, and the next one is prepared", async () => {
		const started = Promise.withResolvers<void>();
		let created = 0;
		const db = open({
			pool: poolOptions({ max: 1 }),
			onCreateConnection: async (connection) => {
				created++;
				if (created > 1) return;
				started.resolve();
				await connection.executeQuery(CompiledQuery.raw("select pg_sleep(60)"));
			},
		});
		const first = follow(backendOf(db));
		await started.promise;
		await settle();
		pretendFork();
		expect(await backendOf(db)).to.be.a("number");
		expect(first.reason).to.be.instanceOf(InheritedConnectionError);
		expect(created).to.equal(2);
	});

	it("is prepared by the pool's onConnect, and closed when that fails", async () => {
		const failure = Object.assign(new Error("not today"), { code: "E_TODAY" });
		const options = poolOptions({ max: 1, onConnect: () => Promise.reject(failure) });
		const db = open({ pool: options });
		for (const _ of [1, 2]) expect(await rejection(backendOf(db))).to.include({ message: "not today", code: "E_TODAY" });
		await untilTrue(async () => (await sessions(options.application_name)) === 0, { what: "nothing is left open" });
	});
});

describe("a connect that fails", () => {
	afterEach(destroyAll);

	const url = (change: (url: URL) => void): string => {
		const changed = new URL(serverUrl());
		change(changed);
		return changed.href;
	};

	const failures: Record<string, () => Promise<string> | string> = {
		"28P01": () => url((to) => Object.assign(to, { password: "horse" })),
		"3D000": () => url((to) => Object.assign(to, { pathname: "/no_such_database" })),
		ECONNREFUSED: async () => {
			const server = createServer().listen(0, "127.0.0.1");
			await once(server, "listening");
			const { port } = server.address() as AddressInfo;
			server.close();
			await once(server, "close");
			return url((to) => Object.assign(to, { hostname: "127.0.0.1", port: String(port) }));
		},
	};
	for (const [code, connectionString] of Object.entries(failures)) {
		it(`rejects with the driver's ${code}, a transaction too, and leaves nothing open`, async () => {
			const options = poolOptions({ connectionString: await connectionString(), max: 1 });
			const db = open({ pool: options });
			expect(await rejection(backendOf(db))).to.include({ code });
			expect(await rejection(db.transaction().execute(backendOf))).to.include({ code });
			expect(await rejection(db.startTransaction().execute())).to.include({ code });
			await untilTrue(async () => (await sessions(options.application_name)) === 0, { what: "nothing is left open" });
		});
	}
});
