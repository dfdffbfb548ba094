/** Through PgBouncer: test/integration/pgbouncer-cancel.test.ts. By a forked child: test/programs/forked-knex.ts, forked-kysely.ts. */
import { Socket } from "node:net";
import { expect } from "chai";
import { rejection } from "../../../test/support/promises.ts";
import { transports } from "../../../test/support/server-urls.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { cancelQuery } from "../src/index.ts";
import { ask, databaseUrl } from "./support/database.ts";
import { openClient, uniqueName } from "./support/set-up.ts";

describe("cancelQuery", () => {
	async function untilActive(name: string): Promise<void> {
		const active = "select pid from pg_stat_activity where application_name = $1 and state = 'active'";
		await untilTrue(async () => (await ask(active, [name])).length === 1, { what: "the server is at it" });
	}

	for (const transport of transports) {
		it(`stops what the client runs, over ${transport}, and the client goes on`, async () => {
			const name = uniqueName();
			const client = await openClient({ connectionString: databaseUrl(transport), application_name: name });
			const slow = rejection(client.query("select pg_sleep(60)"));
			await untilActive(name);
			await cancelQuery(client);
			expect(await slow).to.have.property("code", "57014");
			expect((await client.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
		});
	}

	it("does nothing where nothing runs, and leaves alone what waits behind", async () => {
		const name = uniqueName();
		const client = await openClient({ application_name: name });
		await cancelQuery(client);
		const slow = rejection(client.query("select pg_sleep(60)"));
		const next = client.query("select 1 as n");
		await untilActive(name);
		await cancelQuery(client);
		expect(await slow).to.have.property("code", "57014");
		expect((await next).rows).to.deep.equal([{ n: 1 }]);
	});

	it("sends nothing when the query is over before the server is reached", async () => {
		const mayConnect = Promise.withResolvers<void>();
		const sockets: HeldSocket[] = [];
		const stream = (): HeldSocket => {
			const socket = new HeldSocket(sockets.length === 0 ? Promise.resolve() : mayConnect.promise);
			sockets.push(socket);
			return socket;
		};
		const client = await openClient({ stream });
		const first = client.query("select 1");
		const cancelled = cancelQuery(client);
		await first;
		const second = client.query("select pg_sleep(0.2), 'done' as answer");
		mayConnect.resolve();
		await cancelled;
		expect(sockets.map(({ bytesWritten }) => bytesWritten)[1]).to.equal(0);
		expect((await second).rows[0]).to.have.property("answer", "done");
	});

	it("says that the server cannot be reached", async () => {
		const client = await openClient();
		const slow = client.query("select pg_sleep(0.2)");
		client.port = 1;
		expect(await rejection(cancelQuery(client))).to.have.property("code", "ECONNREFUSED");
		await slow;
	});
});

/** Connects when it may. */
class HeldSocket extends Socket {
	readonly #mayConnect: Promise<void>;

	constructor(mayConnect: Promise<void>) {
		super();
		this.#mayConnect = mayConnect;
	}

	override connect(...args: unknown[]): this {
		void this.#mayConnect.then(() => super.connect(...(args as [number, string])));
		return this;
	}
}
