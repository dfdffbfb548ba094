/**
 * `forked-knex.ts 3.3|3.1 OURS|PLAIN hook|no-hook case...`: what Knex documents, done by a parent and by its forked child at the
 * same time, with the one Knex object that both have. Reports what became of each case, in the words of its first error.
 */
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import process from "node:process";
import { afterFork } from "@forksafe/core";
import { ForkSafePostgres, forkSafe } from "@forksafe/knex";
import { Pool as GuardedPool } from "@forksafe/pg";
import { expect } from "chai";
import knex, { type Knex } from "knex";
import knex31 from "knex-3.1";
import pg from "pg";
import { ask } from "../faces/postgres-view.ts";
import { expectRefused, INHERITED, outcome, rethrow, soon } from "../scenarios/scenario.ts";
import { type Child, forkChild } from "../support/fork.ts";
import { getpid } from "../support/posix-fork.ts";
import { report } from "../support/report.ts";
import { untilTrue } from "../support/until-true.ts";

const [version, whose, hook, ...names] = process.argv.slice(2);
const isOurs = whose === "OURS";
/** For one case. Without forksafe, most of them hang. */
const deadlineMillis = isOurs ? 20_000 : 5_000;
const { DATABASE_URL: url = "" } = process.env;

/** What a case runs with. */
interface Run {
	readonly db: Knex;
	/** Everything that a case creates is in this schema, which is on the search path. */
	readonly schema: string;
	fork<T>(body: () => Promise<T>): Promise<Child<T>>;
}

const cases: Record<string, (run: Run) => Promise<void>> = {
	transactions: (run) => transactBoth(run, run.db),

	async "a pool of pg"(run) {
		const { schema } = run;
		const Pool = isOurs ? GuardedPool : pg.Pool;
		const pool = new Pool({ ...settingsOf(schema), options: `-c search_path="${schema}"`, max: 2 });
		await transactBoth(run, open(schema, { connectionPool: pool }));
		await soon(pool.end(), "the end of pg's pool");
	},

	"a pool that two share": (run) => transactBoth(run, open(run.schema, { connectionPool: run.db.client.pool })),

	async "settings that expire"({ fork, schema }) {
		let newest = 1;
		const asked: number[] = [];
		const connection = async (): Promise<object> => {
			const version = newest;
			asked.push(version);
			const options = `-c forksafe.version=${version}`;
			return { ...settingsOf(schema), options, expirationChecker: () => version !== newest };
		};
		const db = open(schema, { connection });
		const session = async (): Promise<object> =>
			(await db.raw("select current_setting('forksafe.version') as version, pg_backend_pid() as pid")).rows[0];
		const before = await session();
		const child = await fork(async () => {
			newest = 2; // in the child alone
			expect(await session()).to.have.property("version", "2");
			return asked;
		});
		expect(await child.result).to.deep.equal([1, 2]);
		expect(await session()).to.deep.equal(before);
		expect(asked).to.deep.equal([1]);
		await soon(db.destroy(), "the end of the pool");
	},

	async "search path"({ db, fork, schema }) {
		await db.schema.createTable("words", (table) => void table.text("word"));
		const backend = await backendOf(db);
		const write = async (who: string): Promise<void> => {
			for (let round = 0; round < 20; round++) {
				const word = `${who} ${round}`;
				await db("words").insert({ word });
				const { rows } = await db.raw("select current_setting('search_path') as path, ? as word", [word]);
				expect(rows).to.deep.equal([{ path: `"${schema}"`, word }]);
			}
		};
		const child = await fork(() => write("child"));
		await write("parent");
		await child.result;
		expect(await ask(url, `select count(distinct word)::int as n from "${schema}".words`)).to.deep.equal([{ n: 40 }]);
		expect(await backendOf(db), "the parent's connection").to.equal(backend);
	},

	async seeds({ db, fork, schema }) {
		const names = ["first", "second"];
		const config = { seedSource: seeds(names) } as Knex.SeederConfig;
		await db.schema.createTable("ran", (table) => void table.text("step").notNullable().index());
		const running = outcome(db.seed.run(config));
		await untilTrue(async () => (await active(schema, "%pg_sleep%")) === 1, { what: "the first seed runs" });
		const child = await fork(async () => {
			// Whatever touches the pool first: without `afterFork()`, nothing is noticed before.
			await db.raw("select 1");
			const result = await soon(running, "the parent's seeds, in the child");
			expect(result).to.have.nested.property("error.original.code", "ERR_FORKSAFE_INHERITED");
			expect(await db.seed.run(config)).to.deep.equal([names]);
		});
		expect(await soon(running, "the parent's seeds")).to.deep.equal({ value: [names] });
		await child.result;
		const rows = await db("ran").select("step").orderBy("step");
		expect(rows.map(({ step }) => step)).to.deep.equal(["first", "first", "second", "second"]);
	},

	async streams({ db, fork }) {
		const backend = await backendOf(db);
		const inherited = db.raw(NUMBERS, [0, 20_000]).stream()[Symbol.asyncIterator]();
		expect((await inherited.next()).value).to.deep.equal({ n: 0 });
		const child = await fork(async () => {
			const own = streamed(db, 1_000_000);
			await expectRefused(drain(inherited), INHERITED);
			return own;
		});
		expect(await drain(inherited), "the rest of the parent's stream").to.equal(20_000);
		expect(await streamed(db, 2_000_000), "rows of the parent").to.equal(5_001);
		expect(await child.result, "rows of the child").to.equal(5_001);
		expect(await backendOf(db), "the parent's connection").to.equal(backend);
	},

	async "time-outs"({ db, fork, schema }) {
		const backend = await backendOf(db);
		const held = await db.client.acquireConnection();
		const running = outcome(Promise.resolve(db.raw("select pg_sleep(1), 'done' as answer").connection(held)));
		const timed = outcome(Promise.resolve(db.raw("select pg_sleep(1), 'done' as answer").timeout(10_000, { cancel: true })));
		await untilTrue(async () => (await active(schema)) === 2, { what: "the server is at both" });
		const child = await fork(async () => {
			const own = backendOf(db);
			await expectRefused(rethrow(running), INHERITED);
			await expectRefused(rethrow(timed), INHERITED);
			await expectRefused(Promise.resolve(db.raw("select 1").connection(held).timeout(20, { cancel: true })), INHERITED);
			await expectTimeOut(db);
			return own;
		});
		expect(answerOf(await soon(running, "the parent's query"))).to.equal("done");
		expect(answerOf(await soon(timed, "the parent's query with a time-out"))).to.equal("done");
		await db.client.releaseConnection(held);
		await expectTimeOut(db);
		expect(await child.result, "the child's connection").not.to.equal(backend);
		expect(await backendOf(db), "the parent's connection").to.equal(backend);
	},

	async cancel({ db, fork, schema }) {
		const held = await db.client.acquireConnection();
		const running = outcome(Promise.resolve(db.raw("select pg_sleep(2), 'done' as answer").connection(held)));
		await untilTrue(async () => (await active(schema)) === 1, { what: "the server is at it" });
		// What Knex does when a query with `cancel` has timed out, and the first that the child does at all.
		const child = await fork(async () => void (await soon(outcome(db.client.cancelQuery(held)), "the end of the cancel")));
		await child.result;
		expect(await active(schema), "queries that go on").to.equal(1);
		expect(answerOf(await soon(running, "the parent's query"))).to.equal("done");
		await db.client.releaseConnection(held);
	},

	async schema({ db, fork }) {
		const backend = await backendOf(db);
		const child = await fork(() => changeSchema(db, "child"));
		await changeSchema(db, "parent");
		await child.result;
		for (const name of ["child", "parent"]) expect(await db.schema.hasTable(name), name).to.equal(true);
		expect(await backendOf(db), "the parent's connection").to.equal(backend);
	},

	async migrations({ db, fork }) {
		await migrateBoth(db, fork, {});
	},

	async "migrations without transactions"({ db, fork }) {
		const outcomes = await migrateBoth(db, fork, { disableTransactions: true });
		expect(outcomes.filter((each) => each === "ran everything")).to.have.lengthOf(1);
	},

	"migrations in flight": (run) => migrateAcross(run, {}),

	"migrations in flight, without transactions": (run) => migrateAcross(run, { disableTransactions: true }),
};

/** A fork while the parent migrates. */
async function migrateAcross({ db, fork, schema }: Run, options: Knex.MigratorConfig): Promise<void> {
	await db.schema.createTable("ran", (table) => {
		table.text("step");
		table.integer("pid");
	});
	const config = { ...options, migrationSource: steps(["first", "second", "third"]) };
	const running = outcome(db.migrate.latest(config));
	await untilTrue(async () => (await active(schema, "%pg_sleep%")) === 1, { what: "the first step runs" });
	const isLocked = async (): Promise<boolean> => (await db("knex_migrations_lock").first("is_locked"))?.is_locked === 1;
	// Inside a transaction, nobody else sees it.
	expect(await isLocked()).to.equal(options.disableTransactions === true);
	const child = await fork(async () => {
		// Whatever touches the pool first: without `afterFork()`, nothing is noticed before.
		await db.raw("select 1");
		await expectRefused(rethrow(running), INHERITED);
		// Knex takes it for a failed migration, and frees the lock (README.md of @forksafe/knex).
		expect(await isLocked()).to.equal(false);
	});
	expect(await soon(running, "the parent's migrations")).to.deep.equal({ value: [1, ["first", "second", "third"]] });
	await child.result;
	expect((await db("ran").select("step")).map(({ step }) => step)).to.deep.equal(["first", "second", "third"]);
}

/** Both processes transact at once, over this Knex. */
async function transactBoth({ db: owner, fork, schema }: Run, db: Knex): Promise<void> {
	await owner.schema.createTable("words", (table) => void table.text("word"));
	const backend = await backendOf(db);
	const child = await fork(() => transactions(db, "child"));
	const ofParent = await transactions(db, "parent");
	const expected = [...ofParent, ...(await child.result)].sort();
	const rows = await ask<{ word: string }>(url, `select word from "${schema}".words order by word collate "C"`);
	expect(rows.map(({ word }) => word)).to.deep.equal(expected);
	expect(await backendOf(db), "the parent's connection").to.equal(backend);
	if (db !== owner) await soon(db.destroy(), "the end of a Knex over a pool that stays");
}

const NUMBERS = "select n from generate_series(?::int, ?::int) as n";

/** Every form of a transaction, some rounds of each. Returns what is committed. */
async function transactions(db: Knex, who: string): Promise<string[]> {
	const committed: string[] = [];
	for (let round = 0; round < 5; round++) {
		const insert = async (trx: Knex, what: string, stays = true): Promise<void> => {
			const word = `${who} ${round} ${what}`;
			await trx("words").insert({ word });
			if (stays) committed.push(word);
		};
		await db.transaction((trx) => insert(trx, "callback"));
		const failure = new Error("no");
		const failing = db.transaction(async (trx) => {
			await insert(trx, "undone", false);
			throw failure;
		});
		expect(await outcome(failing)).to.deep.equal({ error: failure });

		const provide = db.transactionProvider();
		await insert(await provide(), "provider");
		await insert(await provide(), "provider again");
		await (await provide()).commit();

		await db.transaction(async (outer) => {
			await insert(outer, "outer");
			const undone = await outer.transaction();
			await insert(undone, "inner, undone", false);
			await undone.rollback();
			await outer.transaction((inner) => insert(inner, "inner"));
		});

		const serializable = await db.transaction({ isolationLevel: "serializable" });
		expect((await serializable.raw("show transaction_isolation")).rows).to.deep.equal([
			{ transaction_isolation: "serializable" },
		]);
		await insert(serializable, "serializable");
		await serializable.commit();
		expect(serializable.isCompleted()).to.equal(true);

		const refused = db.transaction((trx) => insert(trx, "read only", false), { readOnly: true });
		expect(await outcome(refused)).to.have.nested.property("error.code", "25006");

		const trx = await db.transaction();
		await insert(trx, "rolled back", false);
		await trx.rollback();
		await trx.executionPromise;
	}
	return committed;
}

/** Streams 5001 rows, each of which has to be this process's own. */
async function streamed(db: Knex, first: number): Promise<number> {
	let next = first;
	for await (const { n } of db.raw(NUMBERS, [first, first + 5_000]).stream()) {
		if (n !== next++) throw new Error(`row ${n} instead of ${next - 1}`);
	}
	return next - first;
}

/** How many rows are left. */
async function drain(rows: AsyncIterator<unknown>): Promise<number> {
	let count = 0;
	while (!(await rows.next()).done) count++;
	return count;
}

async function expectTimeOut(db: Knex): Promise<void> {
	const result = await outcome(Promise.resolve(db.raw("select pg_sleep(60)").timeout(30, { cancel: true })));
	expect(result).to.have.nested.property("error.name", "KnexTimeoutError");
}

function answerOf(result: { value: { rows: { answer: string }[] } } | { error: unknown }): unknown {
	return "value" in result ? result.value.rows[0]?.answer : result.error;
}

async function changeSchema(db: Knex, name: string): Promise<void> {
	for (let round = 0; round < 5; round++) {
		expect(await db.schema.hasTable(name)).to.equal(round > 0);
		await db.schema.dropTableIfExists(name);
		await db.schema.createTable(name, (table) => {
			table.increments("id");
			table.string("word", 20).notNullable().index();
		});
		await db.schema.alterTable(name, (table) => {
			table.integer(`of_${name}`);
			table.dropColumn("id");
		});
		expect(Object.keys(await db(name).columnInfo()).sort()).to.deep.equal([`of_${name}`, "word"]);
	}
}

/** Both processes migrate at once. Returns what became of it in each. */
async function migrateBoth(db: Knex, fork: Run["fork"], options: Knex.MigratorConfig): Promise<string[]> {
	const names = ["first", "second", "third"];
	const config = { ...options, migrationSource: steps(names) };
	await db.schema.createTable("ran", (table) => {
		table.text("step");
		table.integer("pid");
	});
	// Two that create the tables of Knex itself at once may both fail, in plain processes too.
	await db.migrate.latest({ ...options, migrationSource: steps([]) });
	const migrate = async (): Promise<string> => {
		const result = await outcome(db.migrate.latest(config));
		if ("error" in result) return (result.error as Error).name;
		expect(result.value[1].length).to.be.oneOf([0, names.length]);
		return result.value[1].length > 0 ? "ran everything" : "had nothing to do";
	};
	const child = await fork(async () => {
		const result = await migrate();
		// Whoever was refused finds everything done a little later.
		const isFree = async (): Promise<boolean> => (await db("knex_migrations_lock").first("is_locked"))?.is_locked === 0;
		await untilTrue(isFree, { what: "the lock is freed" });
		expect((await db.migrate.latest(config))[1]).to.deep.equal([]);
		return result;
	});
	const outcomes = [await migrate(), await child.result];
	expect(outcomes).to.include("ran everything");
	for (const each of outcomes) expect(each).to.be.oneOf(["ran everything", "had nothing to do", "MigrationLocked"]);
	const ran = await db("ran").select("step", "pid");
	expect(ran.map(({ step }) => step)).to.deep.equal(names);
	expect(new Set(ran.map(({ pid }) => pid))).to.have.property("size", 1);
	return outcomes;
}

/** Migrations that note who has run them, and take a while. */
function steps(names: string[]): Knex.MigrationSource<string> {
	return {
		getMigrations: async () => names,
		getMigrationName: (name) => name,
		getMigration: async (name) => ({
			up: async (db) => {
				await db("ran").insert({ step: name, pid: getpid() });
				await db.raw("select pg_sleep(0.2)");
			},
			down: async () => {},
		}),
	};
}

/** Seeds that note that they have run, and take a while. */
function seeds(names: string[]): Knex.SeedSource<string> {
	return {
		getSeeds: async () => names,
		getSeed: async (name) => ({
			seed: async (db) => {
				await db("ran").insert({ step: name });
				await db.raw("select pg_sleep(0.2)");
			},
		}),
	};
}

async function backendOf(db: Knex): Promise<number> {
	return (await db.raw("select pg_backend_pid() as pid")).rows[0].pid;
}

/** How many statements of this case run on the server. */
async function active(schema: string, like = "%"): Promise<number> {
	const [row] = await ask<{ n: number }>(
		url,
		"select count(*)::int as n from pg_stat_activity where application_name = $1 and state = 'active' and query like $2",
		[schema, like],
	);
	return row?.n ?? 0;
}

function settingsOf(schema: string): { connectionString: string; application_name: string } {
	return { connectionString: url, application_name: schema };
}

function open(schema: string, config: Knex.Config = {}): Knex {
	const is31 = version === "3.1";
	const make = is31 ? (knex31 as unknown as typeof knex) : knex;
	const postgres = createRequire(import.meta.url)("knex-3.1/lib/dialects/postgres/index.js");
	const ours = is31 ? forkSafe(postgres) : ForkSafePostgres;
	return make({
		client: isOurs ? ours : "pg",
		// A pool that is given has these already, and Knex takes no others.
		...(config.connectionPool === undefined && {
			connection: settingsOf(schema),
			searchPath: [schema],
			pool: { min: 0, max: 2 },
		}),
		log: { warn() {} },
		...config,
	});
}

async function verdict(name: string): Promise<string> {
	const body = cases[name];
	if (body === undefined) throw new Error(`no such case: ${name}`);
	const schema = `forked-${randomUUID()}`;
	await ask(url, `create schema "${schema}"`);
	const db = open(schema);
	try {
		const run: Run = {
			db,
			schema,
			fork: (inChild) =>
				forkChild(
					"child",
					() => {
						if (hook === "hook") afterFork();
						return inChild();
					},
					{ deadlineMillis: deadlineMillis - 1_000 },
				),
		};
		await soon(body(run), "the end of the case", deadlineMillis);
		await soon(db.destroy(), "the end of the pool");
		return "ok";
	} catch (error) {
		return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
	} finally {
		// Without forksafe, some may be in a transaction that nobody ends.
		await ask(url, "select pg_terminate_backend(pid, 2000) from pg_stat_activity where application_name = $1", [schema]);
		await ask(url, `drop schema "${schema}" cascade`);
	}
}

for (const name of names) {
	if (!isOurs) {
		// Two copies of one connection can also confuse pg's parser, far from every promise.
		process.once("uncaughtException", (error) => {
			report({ name, verdict: `uncaught: ${error.message}` });
			process.exit();
		});
	}
	report({ name, verdict: await verdict(name) });
}
if (!isOurs) process.exit();
