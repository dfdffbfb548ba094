/** https://knexjs.org/guide/#configuration-options. What ours does beyond that is in connect.test.ts and new-connections.test.ts. */
import type { Client } from "@forksafe/pg";
import { expect } from "chai";
import type { Knex } from "knex";
import { rejection } from "../../../test/support/promises.ts";
import { ask, backendOf, destroyAll, hold, newName, poolOf, serverUrl, sessions } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

type Done = (error?: Error | null, connection?: Client) => void;

/** Every form in which Knex takes a connection. */
const forms: Record<string, (name: string) => unknown> = {
	"a url": urlOf,
	"an object with a url": (name) => ({ connectionString: serverUrl().href, application_name: name }),
	"an object": settings,
	"a function": (name) => () => settings(name),
	"an async function": (name) => async () => settings(name),
	"a function that gives a url": (name) => () => urlOf(name),
	"an async function that gives a url": (name) => async () => urlOf(name),
};

for (const subject of subjects) {
	describe(`a connection, ${subject.name}`, () => {
		afterEach(destroyAll);

		const pool = { min: 0, max: 1 };
		const nameOf = async (db: Knex): Promise<string> =>
			(await db.raw("select current_setting('application_name') as name")).rows[0].name;

		for (const [form, connection] of Object.entries(forms)) {
			it(`is opened from ${form}`, async () => {
				const name = newName();
				const { db } = subject.open({ connection: connection(name) as string });
				expect(await nameOf(db)).to.equal(name);
				expect(await sessions(name)).to.equal(1);
			});
		}

		it("has the version of the server, or the one that it is told", async () => {
			const { db } = subject.open();
			await backendOf(db);
			const [row] = await ask("show server_version");
			expect(row?.["server_version"]).to.match(new RegExp(`^${db.client.version.replaceAll(".", "\\.")}`));
			const { db: told } = subject.open({ version: "10" });
			await backendOf(told);
			expect(told.client.version).to.equal("10");
		});

		describe("from a function", () => {
			for (const [kind, isAsync] of [
				["a function", false],
				["an async function", true],
			] as const) {
				/** `isExpired` is asked of each name that was given. */
				function names(isExpired: (name: string) => boolean): { given: string[]; connection: Knex.ConnectionConfigProvider } {
					const given: string[] = [];
					const connection = (): unknown => {
						const name = newName();
						given.push(name);
						const answer = { ...settings(name), expirationChecker: () => isExpired(name) };
						return isAsync ? Promise.resolve(answer) : answer;
					};
					return { given, connection: connection as Knex.ConnectionConfigProvider };
				}

				it(`asks ${kind} once for all connections, as long as nothing has expired`, async () => {
					const { given, connection } = names(() => false);
					const { db } = subject.open({ connection, pool: { min: 0, max: 3 } });
					expect(given).to.deep.equal([]);
					// One after another: two that are opened at a time may both ask.
					const held = [await hold(db), await hold(db), await hold(db)];
					expect(given).to.have.lengthOf(1);
					expect(await sessions(given[0] as string)).to.equal(3);
					for (const one of held) await db.client.releaseConnection(one);
				});

				it(`asks ${kind} anew for a new connection when what it gave has expired`, async () => {
					let hasExpired = false;
					const { given, connection } = names((name) => name === given[0] && hasExpired);
					const { db } = subject.open({ connection, pool: { min: 0, max: 2 } });
					const first = await hold(db);
					hasExpired = true;
					const second = await hold(db);
					expect(given).to.have.lengthOf(2);
					for (const name of given) expect(await sessions(name)).to.equal(1);
					for (const held of [first, second]) await db.client.releaseConnection(held);
				});

				it(`asks ${kind} anew for an idle connection whose settings have expired, since Knex 3.3`, async () => {
					let hasExpired = false;
					const { given, connection } = names((name) => name === given[0] && hasExpired);
					const { db } = subject.open({ connection, pool });
					expect(await nameOf(db)).to.equal(given[0]);
					hasExpired = true;
					const again = await nameOf(db);
					expect(given).to.have.lengthOf(subject.version === "3.3" ? 2 : 1);
					expect(again).to.equal(given.at(-1));
				});

				it(`rejects with what ${kind} fails with, and asks it again for the next query`, async () => {
					const failure = Object.assign(new Error("no password today"), { code: "E_TODAY" });
					let isFailing = true;
					const connection = (): unknown => {
						if (!isFailing) return settings(newName());
						if (isAsync) return Promise.reject(failure);
						throw failure;
					};
					const { db } = subject.open({ connection: connection as never, pool });
					expect(await rejection(backendOf(db))).to.include({ message: "no password today", code: "E_TODAY" });
					isFailing = false;
					expect(await backendOf(db)).to.be.a("number");
				});
			}
		});

		describe("with searchPath", () => {
			let schema: string;

			beforeEach(async () => {
				schema = newName();
				await ask(`create schema "${schema}"`);
				await ask(`create table "${schema}".words as select 'one' as word`);
			});
			afterEach(() => ask(`drop schema "${schema}" cascade`));

			for (const [form, searchPath] of [
				["a text", (name: string) => name],
				["a list", (name: string) => ["public", name]],
			] as const) {
				it(`looks for tables where ${form} says, on every connection`, async () => {
					const { db } = subject.open({ searchPath: searchPath(schema) });
					const held = [await hold(db), await hold(db)];
					for (const connection of held) {
						expect(await db("words").connection(connection)).to.deep.equal([{ word: "one" }]);
						await db.client.releaseConnection(connection);
					}
					expect(await db("words").pluck("word")).to.deep.equal(["one"]);
				});
			}
		});

		describe("with afterCreate", () => {
			it("is prepared once, before anybody gets it", async () => {
				const seen: unknown[] = [];
				const afterCreate = (connection: Client, done: Done): void => {
					seen.push(connection);
					connection.query("set application_name = 'prepared'", (error) => done(error, connection));
				};
				const { db } = subject.open({ pool: { ...pool, afterCreate } });
				for (const _ of [1, 2]) expect(await nameOf(db)).to.equal("prepared");
				const held = await hold(db);
				expect(seen).to.deep.equal([held]);
				await db.client.releaseConnection(held);
			});

			it("has its searchPath already", async () => {
				const seen: unknown[] = [];
				const afterCreate = (connection: Client, done: Done): void => {
					connection.query("show search_path", (error, result) => {
						seen.push(result?.rows);
						done(error, connection);
					});
				};
				const { db } = subject.open({ searchPath: "pg_catalog", pool: { ...pool, afterCreate } });
				await backendOf(db);
				expect(seen).to.deep.equal([[{ search_path: "pg_catalog" }]]);
			});

			it("is not handed out when that fails, and whoever waits for it is told why", async () => {
				const failure = Object.assign(new Error("not today"), { code: "E_TODAY" });
				const opened: Client[] = [];
				const afterCreate = (connection: Client, done: Done): void => {
					opened.push(connection);
					done(failure);
				};
				const { db } = subject.open({ pool: { ...pool, afterCreate } });
				for (const _ of [1, 2]) {
					expect(await rejection(db.raw("select 1"))).to.include({ message: "not today", code: "E_TODAY" });
				}
				expect(opened).to.have.lengthOf(2);
				expect(poolOf(db).numUsed() + poolOf(db).numFree()).to.equal(0);
				// Knex leaves them open.
				if (!subject.isOurs) await Promise.all(opened.map((connection) => connection.end()));
			});
		});
	});
}

function urlOf(name: string): string {
	const url = serverUrl();
	url.searchParams.set("application_name", name);
	return url.href;
}

function settings(name: string): Knex.PgConnectionConfig {
	return { connectionString: serverUrl().href, application_name: name };
}
