import { InheritedConnectionError, OptionError, type ProcessWatch } from "@forksafe/core";
import { expect } from "chai";
import { type Connection, createConnection } from "mysql2";
import { FakeProcess } from "../../../test/support/fake-process.ts";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { rejection, settle, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { type GuardOptions, guard } from "../src/index.ts";
import { endBy, expectInherited, uncaught } from "./support/expectations.ts";
import {
	afterThisTest,
	ask,
	connected,
	createTable,
	createUser,
	forkUnnoticed,
	idOf,
	inside,
	isOnServer,
	openConnection,
	server,
	untilClosed,
	untilGone,
} from "./support/set-up.ts";

describe("guard", () => {
	it("returns the connection itself, which asks, executes, pings and ends as before", async () => {
		const plain = createConnection(server());
		const connection = guard(plain);
		expect(connection).to.equal(plain);
		await connected(connection);
		const rows = await new Promise((resolve, reject) =>
			connection.query("select ? + 1 as n", [4], (error, result) => (error ? reject(error) : resolve(result))),
		);
		expect(rows).to.deep.equal([{ n: 5 }]);
		const promised = connection.promise();
		for (const n of [1, 2]) expect((await promised.execute("select ? + 1 as n", [n]))[0]).to.deep.equal([{ n: n + 1 }]);
		expect(await promised.ping()).to.equal(true);
		const id = idOf(connection);
		expect((await promised.query("select connection_id() as id"))[0]).to.deep.equal([{ id }]);
		await promised.end();
		await untilGone(id);
		expect((await rejection(promised.query("select 1"))).message).to.include("closed state");
	});

	it("guards the connection inside mysql2's promise form", async () => {
		const { createConnection: createPromised } = await import("mysql2/promise");
		const promised = await createPromised(server());
		afterThisTest(async () => promised.destroy());
		guard((promised as unknown as { connection: Connection }).connection);
		expect((await promised.query("select 1 as n"))[0]).to.deep.equal([{ n: 1 }]);
		pretendFork();
		await expectInherited(promised.query("select 1"));
		await promised.end();
	});

	it("runs prepared statements, streams and many queries at once as before", async () => {
		const connection = await openConnection();
		const promised = connection.promise();
		const statement = await promised.prepare("select ? * 2 as n");
		expect((await statement.execute([4]))[0]).to.deep.equal([{ n: 8 }]);
		await statement.close();
		const rows = [];
		for await (const row of connection.query("select seq from seq_1_to_1000").stream({ highWaterMark: 5 })) rows.push(row);
		expect(rows).to.have.lengthOf(1_000);
		const answers = await Promise.all([1, 2, 3].map((n) => promised.query("select ? as n", [n])));
		expect(answers.map(([answer]) => answer)).to.deep.equal([[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]]);
	});

	it("commits and rolls back as before", async () => {
		const table = await createTable("n int");
		const promised = (await openConnection()).promise();
		await promised.beginTransaction();
		await promised.query(`insert into ${table} values (1)`);
		await promised.commit();
		await promised.beginTransaction();
		await promised.query(`insert into ${table} values (2)`);
		await promised.rollback();
		expect(await ask(`select * from ${table}`)).to.deep.equal([{ n: 1 }]);
	});

	it("changes its user as before", async () => {
		const { user, password } = await createUser();
		const promised = (await openConnection()).promise();
		await promised.changeUser({ user: String(user), password: String(password) });
		expect((await promised.query("select user() as name"))[0]).to.deep.equal([{ name: `${user}@127.0.0.1` }]);
	});

	it("passes on the errors of the server, and goes on", async () => {
		const promised = (await openConnection()).promise();
		expect(await rejection(promised.query("select nothing"))).to.include({ code: "ER_BAD_FIELD_ERROR" });
		expect(await rejection(promised.execute("select nothing"))).to.include({ code: "ER_BAD_FIELD_ERROR" });
		expect((await promised.query("select 1 as n"))[0]).to.deep.equal([{ n: 1 }]);
	});

	it("tells onCommandError of what a query, a statement and a stream are answered with, and their callers too", async () => {
		const told: string[] = [];
		const connection = await openConnection({}, { onCommandError: ({ message }) => told.push(message) });
		const promised = connection.promise();
		await promised.query("select 1");
		const errors = [
			await rejection(promised.query("select nothing_1")),
			await rejection(promised.execute("select nothing_2")),
			await rejection(connection.query("select nothing_3").stream().toArray()),
		];
		for (const { message } of errors) expect(message).to.include("Unknown column");
		expect(told).to.deep.equal(errors.map(({ message }) => message));
	});

	for (const way of ["close", "destroy"] as const) {
		it(`is over at once by ${way}(), as before`, async () => {
			const connection = await openConnection();
			const id = idOf(connection);
			endBy(connection, way);
			await untilGone(id);
			expect((await rejection(connection.promise().query("select 1"))).message).to.include("closed state");
		});
	}

	for (const transport of ["a unix socket", "TLS"] as const) {
		it(`works over ${transport}`, async () => {
			const connection = await openConnection(server(transport));
			const [rows] = await connection.promise().query("show status like 'Ssl_cipher'");
			expect(rows)
				.to.have.nested.property("[0].Value")
				.that.satisfies((value: string) => (value === "") !== (transport === "TLS"));
			pretendFork();
			await expectInherited(connection.promise().query("select 1"));
			await untilClosed(connection);
		});
	}

	it("takes processWatch as a pool does, and nothing else", async () => {
		for (const processWatch of ["sometimes", "", null, 1] as unknown as ProcessWatch[]) {
			const connection = createConnection(server());
			afterThisTest(async () => inside(connection).stream.destroy());
			connection.on("error", () => {}); // of the socket
			expect(thrown(() => guard(connection, { processWatch })))
				.to.be.instanceOf(OptionError)
				.with.property("message")
				.that.includes("processWatch");
		}
	});

	it("names what a version of mysql2 does not have", () => {
		const error = thrown(() => guard({ stream: {}, addCommand() {}, end() {}, ping() {} } as unknown as Connection));
		expect(error.message).to.include("@forksafe/mysql2 relies on").and.to.include("startTLS").and.to.include("_commands");
		expect(error.message).not.to.match(/addCommand|\bstream\b/);
	});
});

describe("a guarded connection in a fork that nobody has noticed yet", () => {
	for (const processWatch of ["always", "once", undefined] as const) {
		it(`notices it at the next command (processWatch: ${processWatch})`, async () => {
			const connection = await openConnection({}, { processWatch });
			forkUnnoticed();
			await expectInherited(connection.promise().query("select 1"));
			expect(connection.isInherited()).to.equal(true);
			await untilClosed(connection);
		});
	}

	it("does not with processWatch off, and hears of a change all the same", async () => {
		const connection = await openConnection({}, { processWatch: "off" });
		forkUnnoticed();
		await connection.promise().query("select 1");
		expect(connection.isInherited()).to.equal(false);
		pretendFork();
		expect(connection.isInherited()).to.equal(true);
		await expectInherited(connection.promise().query("select 1"));
	});

	it("asks once for each command, not for each packet", async () => {
		const connection = await openConnection();
		const fake = new FakeProcess();
		afterThisTest(async () => fake.restore());
		fake.setPid(process.pid);
		await connection.promise().query("select repeat('x', 100)");
		const { asked } = fake;
		await connection.promise().query(`select length('${"x".repeat(40_000_000)}')`);
		expect(fake.asked - asked).to.be.at.most(3);
	});

	it("gives no threadId away, by which a query could be killed", async () => {
		const connection = await openConnection();
		expect(connection.threadId).to.be.a("number");
		forkUnnoticed();
		expect(connection.threadId).to.equal(null);
	});

	it("throws when it is asked whether it is its own", async () => {
		const connection = await openConnection();
		connection.assertOwn();
		forkUnnoticed();
		expect(thrown(() => connection.assertOwn())).to.be.instanceOf(InheritedConnectionError);
	});

	it("rejects a queued query that begins when the one before it is answered, and nothing is thrown", async () => {
		const errors = uncaught();
		const connection = await openConnection();
		const promised = connection.promise();
		const first = promised.query("select sleep(0.05)");
		const queued = [rejection(promised.query("select 2")), rejection(promised.query("select 3"))];
		forkUnnoticed();
		await first;
		for (const query of queued) expect(await query).to.be.instanceOf(InheritedConnectionError);
		await untilClosed(connection);
		await settle();
		expect(errors).to.deep.equal([]);
		await expectInherited(promised.query("select 4"));
	});

	for (const way of ["close", "destroy", "end"] as const) {
		it(`says nothing by ${way}(), and nothing is thrown`, async () => {
			const errors = uncaught();
			const connection = await openConnection();
			forkUnnoticed();
			endBy(connection, way);
			await untilClosed(connection);
			await settle();
			expect(errors).to.deep.equal([]);
			await expectInherited(connection.promise().query("select 1"));
		});
	}
});

describe("a guarded connection of another time", () => {
	for (const transport of ["TCP", "TLS"] as const) {
		it(`hears of no change that comes after its end, over ${transport}`, async () => {
			const connection = await openConnection(server(transport));
			await connection.promise().end();
			await untilClosed(connection);
			await settle();
			const errors: Error[] = [];
			connection.on("error", (error) => errors.push(error));
			pretendFork();
			await settle();
			expect(errors).to.deep.equal([]);
		});
	}

	it("can be made and used in the new process, beside the inherited one", async () => {
		const inherited = await openConnection();
		pretendFork();
		const own = await openConnection();
		expect((await own.promise().query("select 1 as n"))[0]).to.deep.equal([{ n: 1 }]);
		expect(own.isInherited()).to.equal(false);
		expect(inherited.isInherited()).to.equal(true);
		expect(await isOnServer(idOf(own))).to.equal(true);
	});

	it("lets itself be collected when nobody has it any more", async () => {
		const options: GuardOptions = {};
		const weak = await (async () => {
			const connection = guard(createConnection(server()), options);
			await connected(connection);
			const ref = new WeakRef(connection);
			await connection.promise().end();
			await untilClosed(connection);
			return ref;
		})();
		await untilTrue(
			() => {
				globalThis.gc?.();
				return weak.deref() === undefined;
			},
			{ what: "it was collected" },
		);
	});
});
