import { InheritedConnectionError } from "@forksafe/core";
import { expect } from "chai";
import type { QueryError } from "mysql2";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { Callback, endBy, expectInherited, uncaught } from "./support/expectations.ts";
import { MariadbProxy } from "./support/proxy.ts";
import {
	ask,
	connected,
	createTable,
	type GuardedConnection,
	idOf,
	inside,
	openConnection,
	server,
	startConnection,
	untilClosed,
	untilGone,
	untilRuns,
} from "./support/set-up.ts";

describe("a guarded connection after a process change", () => {
	it("rejects every command, each with an error of its own, that knows the change", async () => {
		const connection = await openConnection();
		const promised = connection.promise();
		const statement = await promised.prepare("select ? as n");
		await promised.execute("select ? as known", [1]);
		const change = pretendFork();
		expect(connection.isInherited()).to.equal(true);
		const commands: Record<string, Promise<unknown>> = {
			query: promised.query("select 1"),
			"execute of a new statement": promised.execute("select ? as n", [1]),
			"execute of a known statement": promised.execute("select ? as known", [1]),
			"execute of a prepared statement": statement.execute([1]),
			prepare: promised.prepare("select 2"),
			ping: promised.ping(),
			changeUser: promised.changeUser({}),
			beginTransaction: promised.beginTransaction(),
			commit: promised.commit(),
			rollback: promised.rollback(),
			reset: promised.reset(),
		};
		const errors = new Set<Error>();
		for (const [name, command] of Object.entries(commands)) {
			const error = await rejection(command);
			expect(error, name).to.be.instanceOf(InheritedConnectionError).with.property("change", change);
			errors.add(error);
		}
		expect(errors.size).to.equal(Object.keys(commands).length);
		await statement.close();
	});

	it("calls each callback once, not in the turn of its call", async () => {
		const connection = await openConnection();
		pretendFork();
		const callbacks = Array.from({ length: 5 }, () => new Callback());
		const [query, execute, prepare, ping, values] = callbacks as [Callback, Callback, Callback, Callback, Callback];
		connection.query("select 1", query.call);
		connection.execute("select 1", execute.call);
		connection.prepare("select 1", prepare.call);
		connection.ping(ping.call);
		connection.execute("select ?", [1], values.call);
		for (const { errors } of callbacks) expect(errors).to.deep.equal([]);
		await settle();
		for (const { errors } of callbacks) {
			expect(errors).to.have.lengthOf(1);
			expect(errors[0]).to.be.instanceOf(InheritedConnectionError);
		}
	});

	it("rejects the running query and those behind it, in their order, each callback once", async () => {
		const connection = await openConnection();
		await connection.promise().execute("select ? as known", [0]);
		const order: string[] = [];
		const found: unknown[] = [];
		const note = (name: string) => (error: QueryError | null) => {
			order.push(name);
			found.push(error);
		};
		connection.query("select sleep(60)", note("running"));
		connection.execute("select ? as known", [1], note("known"));
		connection.execute("select ? as fresh", [1], note("fresh"));
		connection.ping(note("ping"));
		connection.query("select 1", note("last"));
		pretendFork();
		await settle();
		expect(order).to.deep.equal(["running", "known", "fresh", "ping", "last"]);
		for (const error of found) expect(error).to.be.instanceOf(InheritedConnectionError);
		expect(new Set(found).size).to.equal(found.length);
	});

	for (const state of ["is being prepared", "is being executed"] as const) {
		it(`calls back once for a statement that ${state}`, async () => {
			const connection = await openConnection();
			const { call, errors } = new Callback();
			if (state === "is being executed") {
				connection.execute("select sleep(60)", call);
				await untilRuns(idOf(connection), "select sleep(60)");
				await untilTrue(() => inside(connection)._commands.length === 0, { what: "the statement is executed" });
			} else {
				connection.execute("select sleep(60)", call);
			}
			pretendFork();
			await settle();
			expect(errors).to.have.lengthOf(1);
			expect(errors[0]).to.be.instanceOf(InheritedConnectionError);
		});
	}

	it("emits the error of a command without a callback, once", async () => {
		const connection = await openConnection();
		const errors: unknown[] = [];
		const listen = (command: ReturnType<GuardedConnection["query"]>): void => {
			command.on("error", (error) => errors.push(error));
		};
		listen(connection.query("select sleep(60)"));
		listen(connection.execute("select 1"));
		pretendFork();
		listen(connection.query("select 1"));
		listen(connection.execute("select 2"));
		await settle();
		expect(errors).to.have.lengthOf(4);
		for (const error of errors) expect(error).to.be.instanceOf(InheritedConnectionError);
	});

	it("throws nothing at a process that does not listen", async () => {
		const errors = uncaught();
		const connection = await openConnection();
		connection.query("select sleep(60)");
		connection.execute("select 1");
		const connecting = startConnection();
		pretendFork();
		connection.query("select 1");
		connection.execute("select 2");
		connecting.query("select 3");
		await untilClosed(connection);
		await untilClosed(connecting);
		await settle();
		expect(errors).to.deep.equal([]);
	});

	it("says so to a listener for errors, once, although it is discarded again", async () => {
		const connection = await openConnection();
		const errors: Error[] = [];
		connection.on("error", (error) => errors.push(error));
		const change = pretendFork();
		connection.discard(change);
		expect(errors).to.deep.equal([]);
		await untilClosed(connection);
		pretendFork();
		await settle();
		expect(errors).to.have.lengthOf(1);
		expect(errors[0]).to.be.instanceOf(InheritedConnectionError).with.property("change", change);
	});

	it("ends a stream that is half read by an error, and stays inherited", async () => {
		const connection = await openConnection();
		const stream = connection.query("select seq from seq_1_to_100000").stream({ highWaterMark: 2 });
		const read = async (): Promise<void> => {
			for await (const { seq } of stream as AsyncIterable<{ seq: number }>) if (seq === 10) pretendFork();
		};
		await expectInherited(read());
		await settle();
		await expectInherited(connection.promise().query("select 1"));
	});

	it("ends by end(), close() and destroy() as often as it is asked to", async () => {
		const errors = uncaught();
		const connection = await openConnection();
		const id = idOf(connection);
		pretendFork();
		await connection.promise().end();
		await new Promise<void>((resolve) => connection.end(() => resolve()));
		connection.end();
		endBy(connection, "close");
		connection.destroy();
		await connection.promise().end();
		await settle();
		expect(errors).to.deep.equal([]);
		await expectInherited(connection.promise().query("select 1"));
		await untilGone(id);
	});

	it("rejects although it had been closed before, or was about to end", async () => {
		const closed = await openConnection();
		closed.destroy();
		const ending = await openConnection();
		const running = rejection(ending.promise().query("select sleep(60)"));
		ending.end();
		pretendFork();
		expect(await running).to.be.instanceOf(InheritedConnectionError);
		await expectInherited(ending.promise().query("select 1"));
		await expectInherited(closed.promise().query("select 1"));
	});

	it("has no threadId", async () => {
		const connection = await openConnection();
		const before = idOf(connection);
		expect((await ask("select id from information_schema.processlist where id = ?", [before])).length).to.equal(1);
		pretendFork();
		expect(connection.threadId).to.equal(null);
		expect({ ...connection }.threadId).to.equal(null);
	});

	for (const stage of ["before the server has said anything", "in the TLS handshake", "while it logs in"] as const) {
		it(`fails a connect that was under way, ${stage}`, async () => {
			const errors = uncaught();
			const proxy = await new MariadbProxy().start();
			if (stage === "before the server has said anything") proxy.isSilent = true;
			// It says hello, and nothing after it.
			else proxy.silentAfter = 1;
			const connection = startConnection({
				...server(stage === "in the TLS handshake" ? "TLS" : "TCP"),
				uri: proxy.urlOf(stage === "in the TLS handshake" ? "TLS" : "TCP"),
				connectTimeout: 300,
			});
			const found: Error[] = [];
			connection.on("error", (error) => found.push(error));
			const connecting = rejection(connected(connection));
			const queued = rejection(connection.promise().query("select 1"));
			await untilTrue(() => proxy.clients.length === 1 && (proxy.isSilent || proxy.bytes > 0), { what: "it has begun" });
			pretendFork();
			expect(await connecting).to.be.instanceOf(InheritedConnectionError);
			expect(await queued).to.be.instanceOf(InheritedConnectionError);
			await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
			const late = rejection(connected(connection));
			expect(await late).to.be.instanceOf(InheritedConnectionError);
			// Longer than its connectTimeout.
			await ask("select sleep(0.4)");
			expect(found).to.have.lengthOf(1);
			expect(errors).to.deep.equal([]);
		});
	}

	it("lets no time-out of a query act any more", async () => {
		const connection = await openConnection();
		const [running, refused] = [new Callback(), new Callback()];
		connection.query({ sql: "select sleep(60)", timeout: 50 }, running.call);
		pretendFork();
		connection.query({ sql: "select sleep(60)", timeout: 50 }, refused.call);
		// Longer than both.
		await ask("select sleep(0.1)");
		for (const { errors } of [running, refused]) {
			expect(errors).to.have.lengthOf(1);
			expect(errors[0]).to.be.instanceOf(InheritedConnectionError);
		}
	});

	it("rejects the rest of a transaction, which the server rolls back when the last copy of the socket has gone", async () => {
		const table = await createTable("n int");
		const connection = await openConnection();
		const id = idOf(connection);
		await connection.promise().beginTransaction();
		await connection.promise().query(`insert into ${table} values (1)`);
		pretendFork();
		await expectInherited(connection.promise().commit());
		await untilGone(id);
		expect(await ask(`select * from ${table}`)).to.deep.equal([]);
	});

	it("gives up a LOAD DATA that is being sent, and nothing is thrown", async () => {
		const errors = uncaught();
		const { Readable } = await import("node:stream");
		await ask("set global local_infile = 1");
		const table = await createTable("n int");
		const connection = await openConnection({ flags: ["+LOCAL_FILES"] });
		const source = new Readable({ read() {} });
		const asked = Promise.withResolvers<void>();
		const loading = rejection(
			connection.promise().query({
				sql: `load data local infile 'any' into table ${table}`,
				infileStreamFactory: () => {
					asked.resolve();
					return source;
				},
			}),
		);
		await asked.promise;
		source.push("1\n");
		await settle();
		pretendFork();
		expect(await loading).to.be.instanceOf(InheritedConnectionError);
		source.push("2\n");
		source.push(null);
		await settle();
		await settle();
		expect(errors).to.deep.equal([]);
		await expectInherited(connection.promise().query("select 1"));
		expect(await ask(`select * from ${table}`)).to.deep.equal([]);
	});
});
