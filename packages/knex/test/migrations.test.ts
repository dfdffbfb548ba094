/** https://knexjs.org/guide/migrations.html. Two processes that migrate at once: test/integration/forked-knex.test.ts. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Knex } from "knex";
import { rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ask, destroyAll, newName, poolOf } from "./support/database.ts";
import { subjects } from "./support/subjects.ts";

/** With the option that Knex documents and does not declare. */
interface Migration extends Knex.Migration {
	readonly config?: { readonly transaction: boolean };
}

interface Steps {
	readonly [name: string]: Migration;
}

/** Each notes in `ran` what it has done. */
function step(name: string, options: Pick<Migration, "config"> = {}): Migration {
	return {
		up: (db) => db("ran").insert({ step: `${name} up` }),
		down: (db) => db("ran").insert({ step: `${name} down` }),
		...options,
	};
}

function source(steps: Steps): Knex.MigrationSource<string> {
	return {
		getMigrations: async () => Object.keys(steps),
		getMigrationName: (name) => name,
		getMigration: async (name) => steps[name] as Migration,
	};
}

for (const subject of subjects) {
	describe(`migrations, ${subject.name}`, () => {
		let schema: string;
		let db: Knex;
		let warnings: string[];

		beforeEach(async () => {
			schema = newName();
			await ask(`create schema "${schema}"`);
			await ask(`create table "${schema}".ran (id serial, step text)`);
			({ db, warnings } = subject.open({ searchPath: [schema] }));
		});
		afterEach(async () => {
			await destroyAll();
			await ask(`drop schema "${schema}" cascade`);
		});

		const ran = (): Promise<string[]> => db("ran").orderBy("id").pluck("step");
		const two = { migrationSource: source({ first: step("first"), second: step("second") }) };
		const three = { migrationSource: source({ first: step("first"), second: step("second"), third: step("third") }) };
		const isLocked = async (): Promise<unknown> => (await db("knex_migrations_lock").first("is_locked"))?.is_locked;

		it("run once each, in order, as one batch", async () => {
			expect(await db.migrate.latest(two)).to.deep.equal([1, ["first", "second"]]);
			const [, again] = await db.migrate.latest(two);
			expect(again).to.deep.equal([]);
			expect(await ran()).to.deep.equal(["first up", "second up"]);
			expect(await db.migrate.latest(three)).to.deep.equal([2, ["third"]]);
			expect(await db("knex_migrations").orderBy("id").select("name", "batch")).to.deep.equal([
				{ name: "first", batch: 1 },
				{ name: "second", batch: 1 },
				{ name: "third", batch: 2 },
			]);
			expect(poolOf(db).numUsed()).to.equal(0);
		});

		it("are listed as completed and pending, and counted", async () => {
			expect(await db.migrate.currentVersion(two)).to.equal("none");
			expect(await db.migrate.status(three)).to.equal(-3);
			await db.migrate.latest(two);
			const [completed, pending] = await db.migrate.list(three);
			expect(completed.map(({ name }: { name: string }) => name)).to.deep.equal(["first", "second"]);
			expect(pending).to.deep.equal(["third"]);
			expect(await db.migrate.status(three)).to.equal(-1);
			expect(await db.migrate.currentVersion(three)).to.equal("second");
		});

		it("are rolled back by batches, the last first, or all of them", async () => {
			await db.migrate.latest(two);
			await db.migrate.latest(three);
			expect(await db.migrate.rollback(three)).to.deep.equal([2, ["third"]]);
			await db.migrate.latest(three);
			expect(await db.migrate.rollback(three, true)).to.deep.equal([2, ["third", "second", "first"]]);
			expect((await ran()).slice(4)).to.deep.equal(["third up", "third down", "second down", "first down"]);
			expect(await db.migrate.currentVersion(three)).to.equal("none");
		});

		it("go up and down one by one, by name too", async () => {
			await db.migrate.up(three);
			await db.migrate.up({ ...three, name: "third" } as Knex.MigratorConfig);
			await db.migrate.down({ ...three, name: "first" } as Knex.MigratorConfig);
			await db.migrate.down(three);
			expect(await ran()).to.deep.equal(["first up", "third up", "first down", "third down"]);
		});

		it("are undone together when one of them fails, and the lock is freed", async () => {
			const failing = {
				migrationSource: source({
					first: step("first"),
					second: { up: (trx) => trx.raw("select nonsense"), down: async () => {} },
				}),
			};
			expect(await rejection(db.migrate.latest(failing))).to.include({ code: "42703" });
			expect(await ran()).to.deep.equal([]);
			expect(await isLocked()).to.equal(0);
			expect(warnings.join("\n")).to.include('migration file "second" failed');
			await db.migrate.latest(two);
			expect(await ran()).to.deep.equal(["first up", "second up"]);
		});

		it("run without a transaction when they say so", async () => {
			const config = { transaction: false };
			const concurrently: Migration = {
				up: (outside) => outside.raw("create index concurrently ran_step on ran (step)"),
				down: async () => {},
				config,
			};
			await db.migrate.latest({ migrationSource: source({ first: step("first"), second: concurrently }) });
			const failing = { up: (trx: Knex) => trx.raw("select nonsense"), down: async () => {}, config };
			const rest = { first: step("first"), second: concurrently, third: step("third", { config }), fourth: failing };
			expect(await rejection(db.migrate.latest({ migrationSource: source(rest) }))).to.include({ code: "42703" });
			expect(await ran()).to.deep.equal(["first up", "third up"]);
			expect(await db.migrate.currentVersion({ migrationSource: source(rest) })).to.equal("third");
		});

		it("are refused while the lock is held, until it is freed by force", async () => {
			await db.migrate.latest(two);
			await db("knex_migrations_lock").update({ is_locked: 1 });
			for (const migrate of [() => db.migrate.latest(three), () => db.migrate.rollback(three), () => db.migrate.up(three)]) {
				expect(await rejection(migrate())).to.have.property("name", "MigrationLocked");
			}
			expect(warnings.join("\n")).to.include("Can't take lock to run migrations");
			expect(await isLocked()).to.equal(1);
			expect(await ran()).to.deep.equal(["first up", "second up"]);
			await db.migrate.forceFreeMigrationsLock(three);
			expect(await isLocked()).to.equal(0);
			expect(await db.migrate.latest(three)).to.deep.equal([2, ["third"]]);
		});

		it("run once when two begin at the same time: the other is refused, or finds nothing to do", async () => {
			const { db: other } = subject.open({ searchPath: [schema] });
			await db.migrate.latest({ migrationSource: source({}) });
			const results = await Promise.allSettled([db.migrate.latest(three), other.migrate.latest(three)]);
			for (const result of results) {
				if (result.status === "rejected") expect(result.reason).to.have.property("name", "MigrationLocked");
			}
			expect(results.some(({ status }) => status === "fulfilled")).to.equal(true);
			expect(await ran()).to.deep.equal(["first up", "second up", "third up"]);
			expect(await isLocked()).to.equal(0);
		});

		it("hold the lock while they run", async () => {
			const gate = Promise.withResolvers<void>();
			let hasBegun = false;
			const slow: Migration = {
				up: async () => {
					hasBegun = true;
					await gate.promise;
				},
				down: async () => {},
				config: { transaction: false },
			};
			const running = db.migrate.latest({ migrationSource: source({ slow }) });
			await untilTrue(() => hasBegun, { what: "it runs" });
			expect(await isLocked()).to.equal(1);
			const { db: other } = subject.open({ searchPath: [schema] });
			const refused = rejection(other.migrate.latest({ migrationSource: source({ slow }) }));
			expect(await refused).to.have.property("name", "MigrationLocked");
			gate.resolve();
			await running;
			expect(await isLocked()).to.equal(0);
		});

		it("have the tables that they are told to", async () => {
			const config = { ...two, tableName: "mine", schemaName: schema };
			await db.migrate.latest(config);
			const names = await ask("select tablename as name from pg_tables where schemaname = $1 order by 1", [schema]);
			expect(names.map(({ name }) => name)).to.deep.equal(["mine", "mine_lock", "ran"]);
		});

		describe("and seeds in files", () => {
			let directory: string;

			beforeEach(async () => {
				directory = await mkdtemp(join(tmpdir(), "forksafe-knex-"));
			});
			afterEach(() => rm(directory, { recursive: true }));

			it("are found in their directory, and run in the order of their names", async () => {
				for (const name of ["2_second", "1_first"]) {
					const text = (way: string): string => `export const ${way} = (db) => db("ran").insert({ step: "${name} ${way}" });`;
					await writeFile(join(directory, `${name}.mjs`), `${text("up")}\n${text("down")}\n`);
				}
				const config = { directory, loadExtensions: [".mjs"] };
				expect(await db.migrate.latest(config)).to.deep.equal([1, ["1_first.mjs", "2_second.mjs"]]);
				expect(await db.migrate.rollback(config)).to.deep.equal([1, ["2_second.mjs", "1_first.mjs"]]);
				expect(await ran()).to.deep.equal(["1_first up", "2_second up", "2_second down", "1_first down"]);
			});

			it("are made from a template", async () => {
				await db.migrate.make("create_words", { directory, extension: "mjs" });
				const [name] = await readdir(directory);
				expect(name).to.match(/^\d{14}_create_words\.mjs$/);
			});

			it("are run each time, in the order of their names, or one alone", async () => {
				for (const name of ["b", "a"]) {
					const text = `export const seed = (db) => db("ran").insert({ step: "${name}" });`;
					await writeFile(join(directory, `${name}.mjs`), text);
				}
				const config = { directory, loadExtensions: [".mjs"] };
				const [files] = await db.seed.run(config);
				expect(files).to.deep.equal([join(directory, "a.mjs"), join(directory, "b.mjs")]);
				await db.seed.run({ ...config, specific: "b.mjs" });
				expect(await ran()).to.deep.equal(["a", "b", "b"]);
			});

			it("reject with the error of the seed that has failed", async () => {
				await writeFile(join(directory, "a.mjs"), 'export const seed = (db) => db.raw("select nonsense");');
				const error = await rejection(db.seed.run({ directory, loadExtensions: [".mjs"] }));
				expect(error.message).to.include("a.mjs").and.include("nonsense");
			});
		});
	});
}
