/** https://knexjs.org/guide/#pool. What ours does beyond that is in pool-options.test.ts, destroy.test.ts and time-outs.test.ts. */
import { promisify } from "node:util";
import { OptionError } from "@forksafe/core";
import { type Client, Pool as GuardedPool } from "@forksafe/pg";
import { expect } from "chai";
import type { Knex } from "knex";
import pg from "pg";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { follow, rejection, settle, thrown } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { backendOf, destroyAll, hold, open, poolOf, serverConnection, sessions } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

/** Long enough for a connect, in milliseconds. */
const LIMIT = 300;

const EVENTS = [
	"acquireRequest",
	"acquireSuccess",
	"acquireFail",
	"createRequest",
	"createSuccess",
	"createFail",
	"release",
	"destroyRequest",
	"destroySuccess",
	"destroyFail",
	"poolDestroyRequest",
	"poolDestroySuccess",
] as const;

for (const subject of subjects) {
	describe(`the pool, ${subject.name}`, () => {
		afterEach(destroyAll);

		const one = { min: 0, max: 1 };

		it("has 2 to 10 connections where nothing is said, and none before it is used", async () => {
			const { db, name } = subject.open({ pool: {} });
			expect(poolOf(db)).to.include({ min: 2, max: 10 });
			expect(await sessions(name)).to.equal(0);
		});

		it("refuses an option that tarn does not have any more", () => {
			const pool = { ...one, maxWaitingClients: 5 } as Knex.PoolConfig;
			expect(thrown(() => subject.open({ pool })).message).to.include("maxWaitingClients");
		});

		it("closes what is idle longer than idleTimeoutMillis, down to min", async () => {
			const { db, name } = subject.open({ pool: { min: 1, max: 3, idleTimeoutMillis: 20, reapIntervalMillis: 10 } });
			const held = await Promise.all([hold(db), hold(db), hold(db)]);
			expect(await sessions(name)).to.equal(3);
			for (const connection of held) await db.client.releaseConnection(connection);
			await untilTrue(async () => (await sessions(name)) === 1, { what: "two of three are closed" });
			expect(poolOf(db).numFree()).to.equal(1);
		});

		if (subject.version === "3.1") {
			it("never asks validate, in whose place Knex 3.1 puts a function of its own", async () => {
				let asked = 0;
				const validate = (): boolean => asked++ > 0;
				const { db } = subject.open({ pool: { ...one, validate } });
				expect(await backendOf(db)).to.equal(await backendOf(db));
				expect(asked).to.equal(0);
			});

			it("knows no maxConnectionLifetimeMillis with Knex 3.1, and refuses it", () => {
				expect(thrown(() => subject.open({ pool: { ...one, maxConnectionLifetimeMillis: 1 } })))
					.to.be.instanceOf(Error)
					.with.property("message")
					.that.includes("maxConnectionLifetimeMillis");
			});
		} else sinceKnex33();

		function sinceKnex33(): void {
			describe("validate", () => {
				it("is asked about an idle connection, which is replaced when that says no, throws or rejects", async () => {
					const verdicts: (() => unknown)[] = [
						() => true,
						() => false,
						() => {
							throw new Error("no");
						},
						() => Promise.reject(new Error("no")),
						async () => true,
					];
					const asked: Client[] = [];
					let isNew = true;
					const validate = (connection: Client): boolean => {
						// Plain Knex asks about a new one as well.
						if (isNew) return true;
						asked.push(connection);
						isNew = true;
						return verdicts[asked.length - 1]?.() as boolean;
					};
					const { db, name } = subject.open({ pool: { ...one, validate } });
					const backends = [await backendOf(db)];
					for (const _ of verdicts) {
						isNew = false;
						backends.push(await backendOf(db));
					}
					const [first, second, third, fourth, fifth, sixth] = backends;
					expect(second).to.equal(first);
					expect(new Set([second, third, fourth, fifth])).to.have.property("size", 4);
					expect(sixth).to.equal(fifth);
					expect(asked).to.have.lengthOf(5);
					await untilTrue(async () => (await sessions(name)) === 1, { what: "the refused ones are closed" });
				});

				it("may ask with a query of its own", async () => {
					let asked = 0;
					const validate = async (connection: Client): Promise<boolean> => {
						asked++;
						return (await promisify(connection.query.bind(connection) as never)("select 1" as never)) !== undefined;
					};
					const { db } = subject.open({ pool: { ...one, validate } });
					expect(await backendOf(db)).to.equal(await backendOf(db));
					expect(asked).to.be.at.least(1);
				});
			});

			describe("maxConnectionLifetimeMillis", () => {
				it("replaces what is older when it is asked for again, and with a jitter some time after", async () => {
					const lifetimes = [
						{ maxConnectionLifetimeMillis: 1 },
						{ maxConnectionLifetimeMillis: 1, maxConnectionLifetimeJitterMillis: 5 },
					];
					for (const lifetime of lifetimes) {
						const { db, name } = subject.open({ pool: { ...one, ...lifetime } });
						const first = await backendOf(db);
						await untilTrue(async () => (await backendOf(db)) !== first, { what: "another session answers" });
						await untilTrue(async () => (await sessions(name)) === 1, { what: "the old ones are closed" });
					}
				});

				it("leaves alone what is younger, and what is in use", async () => {
					const { db } = subject.open({ pool: { ...one, maxConnectionLifetimeMillis: 60_000 } });
					expect(await backendOf(db)).to.equal(await backendOf(db));
					const { db: short } = subject.open({ pool: { ...one, maxConnectionLifetimeMillis: 1_000 } });
					const trx = await short.transaction();
					const backend = await backendOf(trx);
					await trx.raw("select pg_sleep(1.05)");
					expect(await backendOf(trx)).to.equal(backend);
					await trx.commit();
					expect(await backendOf(short)).not.to.equal(backend);
				});
			});

			describe("given as connectionPool", () => {
				it("is shared by several Knexes, none of which ends it", async () => {
					const { db: owner } = subject.open({ pool: one });
					const borrowers = [1, 2].map(() => subject.openOver(poolOf(owner)));
					const backend = await backendOf(owner);
					for (const db of borrowers) expect(await backendOf(db)).to.equal(backend);
					const trx = await borrowers[0]?.transaction();
					const waiting = follow(backendOf(owner));
					await settle();
					expect(waiting.state).to.equal("pending");
					await trx?.commit();
					await untilTrue(() => waiting.state === "fulfilled", { what: "the owner is served" });
					for (const db of borrowers) await db.destroy();
					expect(await backendOf(owner)).to.equal(backend);
					expect(poolOf(owner).numFree()).to.equal(1);
				});

				it("is shared after a process change, too; plain Knex has no word of the change", async () => {
					const { db: owner } = subject.open({ pool: one });
					const borrower = subject.openOver(poolOf(owner));
					const before = await backendOf(borrower);
					pretendFork();
					const after = await backendOf(borrower);
					expect(after !== before).to.equal(subject.isOurs);
					expect(await backendOf(owner)).to.equal(after);
				});

				it("may be a pool of pg, which stays the application's; ours takes its guarded one", async () => {
					const { application_name, ...connection } = serverConnection();
					const Pool = subject.isOurs ? GuardedPool : pg.Pool;
					const pool = new Pool({ ...(connection as object), application_name, max: 1 });
					const db = subject.openOver(pool);
					const backend = await backendOf(db);
					const transaction = db.transaction(async (trx) => {
						expect(await backendOf(trx)).to.equal(backend);
						await trx.raw("select nonsense");
					});
					expect(await rejection(transaction)).to.include({ code: "42703" });
					await db.destroy();
					expect((await pool.query("select 1 as n")).rows).to.deep.equal([{ n: 1 }]);
					await pool.end();
				});
			});
		}

		describe("when nobody gives a connection back", () => {
			const cases: [string, Knex.Config][] = [
				["acquireConnectionTimeout", { acquireConnectionTimeout: LIMIT, pool: one }],
				["acquireTimeoutMillis", { pool: { ...one, acquireTimeoutMillis: LIMIT } }],
				[
					"the lesser of both, acquireConnectionTimeout",
					{ acquireConnectionTimeout: LIMIT, pool: { ...one, acquireTimeoutMillis: 60_000 } },
				],
				[
					"the lesser of both, acquireTimeoutMillis",
					{ acquireConnectionTimeout: 60_000, pool: { ...one, acquireTimeoutMillis: LIMIT } },
				],
			];
			for (const [what, config] of cases) {
				it(`rejects with KnexTimeoutError after ${what}`, async () => {
					const { db } = subject.open(config);
					expect(poolOf(db)).to.have.property("acquireTimeoutMillis", LIMIT);
					const held = await hold(db);
					const began = performance.now();
					for (const error of await Promise.all([rejection(backendOf(db)), rejection(db.transaction())])) {
						expect(error).to.have.property("name", "KnexTimeoutError");
						expect(error.message).to.include("Knex: Timeout acquiring a connection. The pool is probably full.");
					}
					expect(performance.now() - began).to.be.within(LIMIT - 2, 5_000);
					await db.client.releaseConnection(held);
					expect(await backendOf(db)).to.be.a("number");
				});
			}

			it("waits for 60 s where neither is given", () => {
				expect(poolOf(subject.open().db)).to.have.property("acquireTimeoutMillis", 60_000);
			});
		});

		describe("tells its listeners", () => {
			/** The names of the events, but for those of the reaping interval. */
			function listen(db: Knex): string[] {
				const seen: string[] = [];
				for (const event of EVENTS) poolOf(db).on(event as never, () => void seen.push(event));
				return seen;
			}

			it("of each step of a query", async () => {
				const { db } = subject.open({ pool: one });
				const seen = listen(db);
				await backendOf(db);
				expect(seen).to.deep.equal(["acquireRequest", "createRequest", "createSuccess", "acquireSuccess", "release"]);
				seen.length = 0;
				await backendOf(db);
				expect(seen).to.deep.equal(["acquireRequest", "acquireSuccess", "release"]);
			});

			it("of a connect that fails", async () => {
				const { db } = subject.open({ connection: () => Promise.reject(new Error("no")), pool: one });
				const seen = listen(db);
				expect(await rejection(backendOf(db))).to.have.property("message", "no");
				expect(seen).to.deep.equal(["acquireRequest", "createRequest", "createFail", "acquireFail"]);
			});

			it("of its end", async () => {
				const { db } = subject.open({ pool: one });
				await backendOf(db);
				const seen = listen(db);
				await db.destroy();
				expect(seen).to.deep.equal(["poolDestroyRequest", "destroyRequest", "destroySuccess", "poolDestroySuccess"]);
			});

			it("until they are removed", async () => {
				const { db } = subject.open({ pool: one });
				let count = 0;
				const listener = (): void => void count++;
				poolOf(db).on("acquireSuccess", listener);
				await backendOf(db);
				poolOf(db).removeListener("acquireSuccess", listener);
				await backendOf(db);
				expect(count).to.equal(1);
				poolOf(db).on("acquireSuccess", listener);
				poolOf(db).removeAllListeners("acquireSuccess");
				await backendOf(db);
				expect(count).to.equal(1);
			});

			it("after a process change, of a new connection; plain Knex has no word of the change", async () => {
				const { db } = subject.open({ pool: one });
				await backendOf(db);
				const seen = listen(db);
				pretendFork();
				await backendOf(db);
				const known = ["acquireRequest", "acquireSuccess", "release"];
				const afresh = ["acquireRequest", "createRequest", "createSuccess", "acquireSuccess", "release"];
				expect(seen).to.deep.equal(subject.isOurs ? afresh : known);
			});

			it("with the connection, and the same number for each step of an acquire", async () => {
				const { db } = subject.open({ pool: one });
				const seen: unknown[][] = [];
				poolOf(db).on("acquireRequest", (id) => seen.push(["acquireRequest", id]));
				poolOf(db).on("acquireSuccess", (id, connection) => seen.push(["acquireSuccess", id, connection]));
				poolOf(db).on("release", (connection) => seen.push(["release", connection]));
				const held = await hold(db);
				await db.client.releaseConnection(held);
				const id = seen[0]?.[1];
				expect(id).to.be.a("number");
				expect(seen).to.deep.equal([
					["acquireRequest", id],
					["acquireSuccess", id, held],
					["release", held],
				]);
			});
		});

		describe("that is destroyed", () => {
			it("is there again after initialize(), with the same options, and another one", async () => {
				const { db, name } = subject.open({ pool: { min: 0, max: 7 } });
				const before = poolOf(db);
				await backendOf(db);
				await db.destroy();
				expect((await rejection(backendOf(db))).message).to.include("Unable to acquire a connection");
				await untilTrue(async () => (await sessions(name)) === 0, { what: "all are closed" });
				db.initialize();
				expect(poolOf(db)).to.include({ max: 7 }).and.not.to.equal(before);
				expect(await backendOf(db)).to.be.a("number");
				expect(await sessions(name)).to.equal(1);
			});

			it("takes other options from initialize()", async () => {
				const { db } = subject.open({ pool: one });
				await db.destroy();
				db.initialize({ ...db.client.config, pool: { min: 0, max: 3 } });
				expect(poolOf(db)).to.include({ min: 0, max: 3 });
				expect(await backendOf(db)).to.be.a("number");
			});

			it("waits for what is in use", async () => {
				const { db } = subject.open({ pool: one });
				const trx = await db.transaction();
				const destroyed = follow(db.destroy());
				expect(await backendOf(trx)).to.be.a("number");
				expect(destroyed.state).to.equal("pending");
				await trx.rollback();
				await untilTrue(() => destroyed.state === "fulfilled", { what: "it is over" });
			});
		});
	});
}

describe("connectionPool over Knex 3.1", () => {
	afterEach(destroyAll);

	it("is ignored by Knex, and refused by ours", async () => {
		const { db } = open();
		for (const subject of subjects.filter(({ version }) => version === "3.1")) {
			const openOver = (): Knex => subject.openOver(poolOf(db));
			if (subject.isOurs) expect(thrown(openOver)).to.be.instanceOf(OptionError).and.to.include({ option: "connectionPool" });
			else expect(poolOf(openOver())).to.equal(undefined);
		}
	});
});
