/** Options that come from outside (a file, a request): what is no option of ours is refused, and nothing of it reaches a prototype. */
import { connectionBudget, shareOf } from "@forksafe/cluster";
import { Pool as CorePool, defaultPoolOptions, OptionError, suspendAll } from "@forksafe/core";
import { ForkSafePostgres, forkSafe } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { ForkSafeMysqlDialect } from "@forksafe/kysely/mysql";
import { Pool as MysqlPool } from "@forksafe/mysql2";
import { Client, Pool } from "@forksafe/pg";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import { rejection } from "../support/promises.ts";

const driver = { connect: () => ({}), destroy() {}, discard() {}, isAlive: () => true };
const knexWith = (client: typeof Knex.Client, pool: object): unknown => knex({ client, connection: {}, pool });
const takers: Record<string, (options: object) => unknown> = {
	"core's Pool": (options) => new CorePool(driver, options),
	"pg's Pool": (options) => new Pool(options),
	"pg's Pool, prepare": (prepare) => new Pool({ prepare } as object),
	"Knex's pool": (options) => knexWith(ForkSafePostgres, options),
	"Knex's pool over mysql2": (options) => knexWith(forkSafe("mysql2"), options),
	"Kysely's dialect": (options) => new ForkSafePostgresDialect({ pool: options } as never),
	"Kysely's dialect for MySQL": (options) => new ForkSafeMysqlDialect({ pool: options } as never),
	"mysql2's Pool": (options) => new MysqlPool(options as never),
	connectionBudget: (options) => connectionBudget({ total: 5, ...options } as never),
	shareOf: (options) => shareOf({ total: 5, processes: 2, index: 0, ...options } as never),
};
const hostile = [
	'{"__proto__": {"max": 1000, "polluted": true}}',
	'{"constructor": {"prototype": {"polluted": true}}}',
	'{"prototype": {"polluted": true}}',
];

function refusal(work: () => unknown): unknown {
	try {
		work();
	} catch (error) {
		return error;
	}
	return undefined;
}

describe("options from an untrusted source", () => {
	afterEach(() => {
		expect({}).to.not.have.property("polluted");
		expect(defaultPoolOptions).to.not.have.property("polluted");
		expect(Object.getPrototypeOf(defaultPoolOptions)).to.equal(Object.prototype);
	});

	for (const [name, take] of Object.entries(takers)) {
		for (const json of hostile) {
			it(`are refused by ${name}: ${json}`, () => {
				const error = refusal(() => take(JSON.parse(json) as object));
				expect(error)
					.to.be.instanceOf(OptionError)
					.and.to.have.property("option", Object.keys(JSON.parse(json) as object)[0]);
			});
		}
	}

	it("are refused by acquire, release, drain and suspend", async () => {
		const pool = new CorePool<object>(driver);
		const options = JSON.parse(hostile[0] ?? "") as object;
		const resource = await pool.acquire();
		for (const work of [
			() => pool.acquire(options),
			() => pool.drain(options),
			() => pool.suspend(options),
			() => suspendAll(options),
		]) {
			expect(await rejection((async () => work())()))
				.to.be.instanceOf(OptionError)
				.and.to.have.property("option", "__proto__");
		}
		expect(refusal(() => pool.release(resource, options))).to.be.instanceOf(OptionError);
		pool.release(resource);
		await pool.drain();
	});

	it("make no client of pg with another prototype", () => {
		const client = new Client(JSON.parse('{"host": "localhost", "__proto__": {"polluted": true}}') as object);
		expect(Object.getPrototypeOf(client)).to.equal(Client.prototype);
		expect(client).to.not.have.property("polluted");
	});
});
