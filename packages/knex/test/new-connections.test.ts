import { Socket } from "node:net";
import { ProcessChangedError } from "@forksafe/core";
import type { Client } from "@forksafe/pg";
import { expect } from "chai";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { destroyAll, open, poolOf, serverConnection, sessions } from "./support/database.ts";

type Done = (error?: Error | null, connection?: Client) => void;

describe("a new connection", () => {
	afterEach(destroyAll);

	it("is closed when afterCreate fails, and whoever waits for it is told why", async () => {
		const failure = Object.assign(new Error("not today"), { code: "E_TODAY" });
		let hasOpened = 0;
		const afterCreate = (_connection: Client, done: Done): void => {
			const fail = async (): Promise<void> => {
				hasOpened += await sessions(name);
				done(failure);
			};
			fail().catch(done);
		};
		const { db, name } = open({ pool: { min: 0, max: 1, afterCreate } });
		for (const _ of [1, 2]) {
			expect(await rejection(db.raw("select 1"))).to.include({ message: "not today", code: "E_TODAY" });
		}
		await untilTrue(async () => (await sessions(name)) === 0, { what: "both are closed" });
		expect(hasOpened).to.be.greaterThan(0);
		expect(poolOf(db).numUsed() + poolOf(db).numFree() + poolOf(db).numPendingCreates()).to.equal(0);
	});

	it("is closed when afterCreate throws", async () => {
		const afterCreate = (): void => {
			throw new Error("not today");
		};
		const { db, name } = open({ pool: { min: 0, max: 1, afterCreate } });
		expect(await rejection(db.raw("select 1"))).to.include({ message: "not today" });
		await untilTrue(async () => (await sessions(name)) === 0, { what: "it is closed" });
	});

	it("is closed when afterCreate is slower than createTimeoutMillis", async () => {
		let opened = 0;
		const afterCreate = (): void => void opened++;
		const { db, name } = open({ pool: { min: 0, max: 1, afterCreate, createTimeoutMillis: 1_000, destroyTimeoutMillis: 1 } });
		expect(await rejection(db.raw("select 1"))).to.have.property("name", "KnexTimeoutError");
		expect(opened).to.equal(1);
		await untilTrue(async () => (await sessions(name)) === 0, { what: "it is closed" });
	});

	it("is not opened any more when the process has changed while a connection function was asked", async () => {
		const gate = Promise.withResolvers<void>();
		let asked = 0;
		const connection = serverConnection();
		// A client that is never used could be seen on the server for a moment only: here it cannot be overlooked.
		let connected = 0;
		const stream = (): Socket => {
			const socket = new Socket();
			const { connect } = socket;
			socket.connect = ((...args: Parameters<typeof connect>) => {
				connected++;
				return connect.apply(socket, args);
			}) as typeof connect;
			return socket;
		};
		const { db } = open({
			connection: async () => {
				asked++;
				await gate.promise;
				return { ...connection, stream };
			},
			pool: { min: 0, max: 1 },
		});
		const query = rejection(db.raw("select 1"));
		await untilTrue(() => asked === 1, { what: "the function was asked" });
		pretendFork();
		gate.resolve();
		expect(await query).to.be.instanceOf(ProcessChangedError);
		for (let turn = 0; turn < 5; turn++) await settle();
		expect(connected).to.equal(0);
	});

	it("is closed when searchPath is none", async () => {
		const { db, name } = open({ searchPath: 5 as never, pool: { min: 0, max: 1 } });
		expect(await rejection(db.raw("select 1"))).to.be.instanceOf(TypeError);
		await untilTrue(async () => (await sessions(name)) === 0, { what: "it is closed" });
	});
});
