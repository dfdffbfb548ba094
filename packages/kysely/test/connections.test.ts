import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { reportProcessChange } from "@forksafe/core";
import { expect } from "chai";
import { CompiledQuery } from "kysely";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { backendOf, destroyAll, open, poolOptions, serverUrl, sessions } from "./support/database.ts";

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
		reportProcessChange();
		const after = [await backendOf(db), await backendOf(db)];
		expect(after[0]).to.equal(after[1]).and.not.to.equal(before[0]);
		expect([created, reserved]).to.deep.equal([2, 4]);
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
