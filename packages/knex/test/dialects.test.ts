import { createRequire } from "node:module";
import { inspect } from "node:util";
import { OptionError } from "@forksafe/core";
import { Client as GuardedClient } from "@forksafe/pg";
import { expect } from "chai";
import knex from "knex";
import { thrown } from "../../../test/support/promises.ts";
import { ForkSafePostgres, forkSafe, type KnexClientClass, TarnPool } from "../src/index.ts";
import { dialectClass } from "../src/knex-internals.ts";
import { backendOf, destroyAll, hold, open, poolOf } from "./support/database.ts";
import { dialectOf31, knex31 } from "./support/subjects.ts";

const require = createRequire(import.meta.url);
const postgres = dialectClass("pg") as KnexClientClass;

describe("forkSafe", () => {
	afterEach(destroyAll);

	const drivers = { pg: "pg", postgres: "pg", postgresql: "pg", cockroachdb: "cockroachdb", redshift: "pg-redshift" };
	for (const [name, driverName] of Object.entries(drivers)) {
		it(`guards ${name}`, async () => {
			// Given, because CockroachDB's client cannot read PostgreSQL's.
			const { db } = open({ client: forkSafe(name), version: "18" });
			expect(db.client).to.be.instanceOf(dialectClass(name)).and.to.include({ driverName });
			expect(poolOf(db)).to.be.instanceOf(TarnPool);
			expect(await hold(db)).to.be.instanceOf(GuardedClient);
			expect(await backendOf(db)).to.be.a("number");
		});
	}

	it("guards a class of the application that extends one of Knex's", async () => {
		class Mine extends postgres {
			override wrapIdentifierImpl(value: string): string {
				return `"mine_${value}"`;
			}
		}
		const { db } = open({ client: forkSafe(Mine) });
		expect(db.client).to.be.instanceOf(Mine);
		expect(poolOf(db)).to.be.instanceOf(TarnPool);
		expect(await hold(db)).to.be.instanceOf(GuardedClient);
		expect(await db.select(db.raw("1 as ??", ["n"]))).to.deep.equal([{ mine_n: 1 }]);
	});

	it("guards Knex's own class, and one that is guarded already", async () => {
		for (const client of [forkSafe(postgres), forkSafe(ForkSafePostgres)]) {
			const { db } = open({ client });
			expect(await hold(db)).to.be.instanceOf(GuardedClient);
		}
	});

	for (const dialect of ["postgres", "cockroachdb", "redshift"] as const) {
		it(`guards the ${dialect} client of another copy of Knex, of another version too, and what extends it`, async () => {
			class Mine extends dialectOf31(dialect) {}
			for (const Client of [dialectOf31(dialect), Mine]) {
				expect(Client.prototype).not.to.be.instanceOf(knex.Client);
				const { db } = open({ client: forkSafe(Client), version: "18" }, knex31);
				expect(db.client).to.be.instanceOf(Client);
				expect(poolOf(db)).to.be.instanceOf(TarnPool);
				expect(await hold(db)).to.be.instanceOf(GuardedClient);
				expect(await backendOf(db)).to.be.a("number");
			}
		});
	}

	it("keeps pg's other exports on the driver", () => {
		const { driver } = open().db.client;
		expect(driver.types).to.equal(require("pg").types);
		expect(driver.Client).to.equal(GuardedClient);
		expect(require("pg").Client).not.to.equal(GuardedClient);
	});

	class NoClient {}
	const refused: unknown[] = [
		"mysql",
		"mariadb",
		"sqlite3",
		"better-sqlite3",
		"mssql",
		"oracledb",
		"pgnative",
		"toString",
		"__proto__",
		"",
		undefined,
		null,
		5,
		{},
		NoClient,
		() => {},
		knex.Client,
		require("knex/lib/dialects/mysql/index.js"),
		require("knex/lib/dialects/better-sqlite3/index.js"),
		require("knex/lib/dialects/pgnative/index.js"),
		knex31.Client,
		dialectOf31("pgnative"),
	];
	for (const dialect of refused) {
		it(`refuses ${inspect(dialect)}`, () => {
			const error = thrown(() => forkSafe(dialect as string)) as OptionError;
			expect(error)
				.to.be.instanceOf(OptionError)
				.and.to.include({ code: "ERR_FORKSAFE_OPTION", option: "dialect", value: dialect });
			expect(error.message).to.match(/^option dialect \(.+\) /);
			if (typeof dialect === "string") expect(error.message).to.include(`(${JSON.stringify(dialect)})`);
		});
	}

	it("says which dialects there are, and that pg-native is to be replaced by pg", () => {
		expect(thrown(() => forkSafe("mongodb")))
			.to.have.property("message")
			.that.includes("one of pg, postgres, postgresql, cockroachdb, redshift, mysql2");
		for (const PgNative of [require("knex/lib/dialects/pgnative/index.js") as KnexClientClass, dialectOf31("pgnative")]) {
			class Mine extends PgNative {}
			for (const Client of [PgNative, Mine]) {
				expect(thrown(() => forkSafe(Client)))
					.to.be.instanceOf(OptionError)
					.with.property("message")
					.that.includes("use pg");
			}
		}
	});

	for (const [dialect, advice] of [
		["mysql", "use mysql2"],
		["mariadb", "use mysql2, which speaks to MariaDB too"],
		["mssql", "create the Knex after the fork"],
		["oracledb", "create the Knex after the fork"],
		["sqlite3", "must not be carried over a fork"],
		["better-sqlite3", "must not be carried over a fork"],
		["pgnative", "use pg"],
	] as const) {
		it(`says why ${dialect} is refused, and what to do`, () => {
			const Client: KnexClientClass = require(`knex/lib/dialects/${dialect}/index.js`);
			for (const given of [dialect, Client, class extends Client {}]) {
				expect(thrown(() => forkSafe(given)))
					.to.have.property("message")
					.that.includes(advice);
			}
		});
	}

	it("refuses a class in which something is missing that it relies on", () => {
		class Future extends postgres {}
		Object.defineProperty(Future.prototype, "getPoolSettings", { value: undefined });
		expect(thrown(() => forkSafe(Future)))
			.to.have.property("message")
			.that.includes("relies on getPoolSettings");
	});

	it("does not print a url given in place of a dialect, which has a password in it", () => {
		const error = thrown(() => forkSafe("postgres://me:horse@localhost/db")) as OptionError;
		expect(error).to.be.instanceOf(OptionError);
		expect(inspect(error)).not.to.include("horse");
	});
});
