import { expect } from "chai";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { runProgram } from "../../../test/support/program.ts";
import { follow, rejection, settle } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { end, giveUp, isAlive, ping, ref, unref } from "../src/index.ts";
import { MariadbProxy } from "./support/proxy.ts";
import {
	ask,
	connected,
	type GuardedConnection,
	idOf,
	inside,
	isOnServer,
	openConnection,
	server,
	startConnection,
	untilClosed,
	untilGone,
	untilRuns,
} from "./support/set-up.ts";

const never = new AbortController().signal;

describe("isAlive", () => {
	it("is true of a connection that was opened, and as long as the server answers", async () => {
		const connection = await openConnection();
		expect(isAlive(connection)).to.equal(true);
		await rejection(connection.promise().query("select nothing"));
		expect(isAlive(connection)).to.equal(true);
	});

	it("is false once the server has ended the session", async () => {
		const connection = await openConnection();
		connection.on("error", () => {});
		await ask("kill ?", [idOf(connection)]);
		await untilTrue(() => !isAlive(connection), { what: "it is known" });
	});

	it("is false once the connection is lost", async () => {
		const proxy = await new MariadbProxy().start();
		const connection = await openConnection({ uri: proxy.urlOf() });
		connection.on("error", () => {});
		await proxy.stop();
		await untilTrue(() => !isAlive(connection), { what: "it is known" });
	});

	for (const [name, act] of [
		["end()", (connection) => connection.end()],
		["destroy()", (connection) => connection.destroy()],
		["giveUp", giveUp],
		["a process change", () => pretendFork()],
	] as [string, (connection: GuardedConnection) => unknown][]) {
		it(`is false after ${name}`, async () => {
			const connection = await openConnection();
			act(connection);
			expect(isAlive(connection)).to.equal(false);
		});
	}
});

describe("ping", () => {
	for (const transport of ["TCP", "a unix socket", "TLS"] as const) {
		it(`says that the server answers, over ${transport}`, async () => {
			const connection = await openConnection(server(transport));
			expect(await ping(connection, never)).to.equal(true);
			expect((await connection.promise().query("select 1 as n"))[0]).to.deep.equal([{ n: 1 }]);
		});
	}

	it("says that the server has ended the session", async () => {
		const connection = await openConnection();
		connection.on("error", () => {});
		await ask("kill ?", [idOf(connection)]);
		expect(await ping(connection, never)).to.equal(false);
		// And once that is known.
		expect(await ping(connection, never)).to.equal(false);
	});

	it("says no without an answer when it is aborted, and closes the socket", async () => {
		const proxy = await new MariadbProxy().start();
		const connection = await openConnection({ uri: proxy.urlOf() });
		connection.on("error", () => {});
		const { bytes } = proxy;
		proxy.isSilent = true;
		const impatience = new AbortController();
		const answer = follow(ping(connection, impatience.signal));
		await untilTrue(() => proxy.bytes > bytes, { what: "it was asked" });
		expect(answer.state).to.equal("pending");
		impatience.abort();
		await settle();
		expect(answer.value).to.equal(false);
		await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
		expect(isAlive(connection)).to.equal(false);
	});

	it("does not ask at all when it is aborted before", async () => {
		const proxy = await new MariadbProxy().start();
		const connection = await openConnection({ uri: proxy.urlOf() });
		connection.on("error", () => {});
		const [before] = await proxy.atRest();
		expect(await ping(connection, AbortSignal.abort())).to.equal(false);
		await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
		expect(proxy.bytes).to.equal(before?.bytes);
	});

	it("does not ask a connection whose query runs", async () => {
		const connection = await openConnection();
		const running = connection.promise().query("select sleep(0.1) as n");
		const impatience = new AbortController();
		expect(await ping(connection, impatience.signal)).to.equal(true);
		impatience.abort();
		expect((await running)[0]).to.deep.equal([{ n: 0 }]);
	});

	it("listens to the signal no longer than it has to", async () => {
		const connection = await openConnection();
		const impatience = new AbortController();
		expect(await ping(connection, impatience.signal)).to.equal(true);
		impatience.abort();
		expect(await ping(connection, never)).to.equal(true);
	});

	it("says no in another process", async () => {
		const connection = await openConnection();
		const asked = ping(connection, never);
		pretendFork();
		expect(await asked).to.equal(false);
		expect(await ping(connection, never)).to.equal(false);
	});
});

describe("end", () => {
	for (const transport of ["TCP", "a unix socket", "TLS"] as const) {
		it(`says goodbye and is over when the socket is closed, over ${transport}`, async () => {
			const connection = await openConnection(server(transport));
			const id = idOf(connection);
			await end(connection);
			expect(inside(connection).stream.closed).to.equal(true);
			await untilGone(id);
			await end(connection);
		});
	}

	it("lets a query that runs be answered", async () => {
		const connection = await openConnection();
		const running = follow(connection.promise().query("select sleep(0.1) as n"));
		await end(connection);
		expect(running.value?.[0]).to.deep.equal([{ n: 0 }]);
	});

	it("is over at once on a connection that is broken", async () => {
		const connection = await openConnection();
		connection.on("error", () => {});
		await ask("kill ?", [idOf(connection)]);
		await untilTrue(() => !isAlive(connection), { what: "it is known" });
		await end(connection);
		expect(inside(connection).stream.destroyed).to.equal(true);
	});

	it("is over although the server does not close its side of a broken connection", async () => {
		const proxy = await new MariadbProxy().start();
		const connection = await openConnection({ uri: proxy.urlOf() });
		connection.on("error", () => {});
		proxy.isSilent = true;
		connection.destroy();
		await end(connection);
		expect(inside(connection).stream.destroyed).to.equal(true);
	});

	it("is over at once in another process", async () => {
		const connection = await openConnection();
		pretendFork();
		await end(connection);
		await untilClosed(connection);
	});

	it("is over when the process changes meanwhile", async () => {
		const connection = await openConnection();
		const running = rejection(connection.promise().query("select sleep(60)"));
		const ended = end(connection);
		pretendFork();
		await ended;
		await running;
	});
});

describe("giveUp", () => {
	it("closes the socket under a query, which fails, and the server notices", async () => {
		const connection = await openConnection();
		connection.on("error", () => {});
		const id = idOf(connection);
		const running = rejection(connection.promise().query("select sleep(60)"));
		await untilRuns(id, "select sleep(60)");
		giveUp(connection);
		expect(await running).to.include({ code: "PROTOCOL_CONNECTION_LOST" });
		await ask("kill ?", [id]).catch(() => {});
	});

	it("ends a connect that is under way, and its time-out acts no more", async () => {
		const proxy = await new MariadbProxy().start();
		proxy.isSilent = true;
		const connection = startConnection({ uri: proxy.urlOf(), connectTimeout: 100 });
		const errors: Error[] = [];
		connection.on("error", (error) => errors.push(error));
		const connecting = rejection(connected(connection));
		await untilTrue(() => proxy.open === 1, { what: "it has begun" });
		giveUp(connection);
		expect(await connecting).to.include({ code: "PROTOCOL_CONNECTION_LOST" });
		await ask("select sleep(0.15)");
		expect(errors).to.have.lengthOf(1);
	});

	it("does nothing in another process", async () => {
		const connection = await openConnection();
		pretendFork();
		giveUp(connection);
		await untilClosed(connection);
	});

	it("says no goodbye, and throws nothing at a process that does not listen", async () => {
		const proxy = await new MariadbProxy().start();
		const connection = await openConnection({ uri: proxy.urlOf() });
		const [before] = await proxy.atRest();
		giveUp(connection);
		await untilTrue(() => proxy.open === 0, { what: "the socket was closed" });
		expect(proxy.bytes).to.equal(before?.bytes);
	});
});

describe("ref and unref", () => {
	const program = new URL("./programs/idle-at-the-end.ts", import.meta.url);

	for (const [calls, output] of [
		[[], "stays"],
		[["unref"], "exits"],
		[["unref", "ref"], "stays"],
		[["unref", "ref", "unref"], "exits"],
	] as const) {
		for (const transport of ["TCP", "TLS"] as const) {
			it(`let the process know whether to wait: it ${output} after ${calls.join(", ") || "neither"}, over ${transport}`, async () => {
				const result = await runProgram(program, { deadlineMillis: 8_000, args: [transport, ...calls] });
				expect(result.output).to.equal(output === "stays" ? "asked\nthe loop is alive\n" : "asked\n");
				expect(result.exitCode).to.equal(0);
			});
		}
	}

	it("do nothing over a stream that has no such thing", async () => {
		const connection = await openConnection();
		const { stream } = inside(connection);
		const withoutRef = { stream: { writable: true } };
		ref(withoutRef as never);
		unref(withoutRef as never);
		unref(connection);
		ref(connection);
		expect(stream.destroyed).to.equal(false);
		expect(await isOnServer(idOf(connection))).to.equal(true);
	});
});
