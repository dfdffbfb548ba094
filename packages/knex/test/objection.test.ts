import { InheritedConnectionError } from "@forksafe/core";
import { expect } from "chai";
import type { Knex } from "knex";
import { ForeignKeyViolationError, knexSnakeCaseMappers, NotFoundError, transaction, UniqueViolationError } from "objection";
import { Author, Book, createTables } from "../../../test/support/objection-models.ts";
import { pretendFork } from "../../../test/support/pretend-fork.ts";
import { follow, rejection } from "../../../test/support/promises.ts";
import { untilTrue } from "../../../test/support/until-true.ts";
import { ask, backendOf, destroyAll, newName, poolOf } from "./support/database.ts";
import { guarded, type Subject, subjects } from "./support/subjects.ts";

describe("Objection.js", () => {
	let schema: string;
	let db: Knex;
	let Authors: typeof Author;
	let Books: typeof Book;

	const prepare = async (subject: Subject): Promise<void> => {
		schema = newName();
		await ask(`create schema "${schema}"`);
		({ db } = subject.open({ searchPath: [schema], pool: { min: 0, max: 2 }, ...knexSnakeCaseMappers() }));
		Authors = Author.bindKnex(db);
		Books = Book.bindKnex(db);
		await createTables(db);
	};
	afterEach(async () => {
		await destroyAll();
		await ask(`drop schema "${schema}" cascade`);
	});

	const penNames = async (): Promise<string[]> => {
		const authors = await Authors.query().orderBy("id");
		return authors.map(({ penName }) => penName);
	};

	/** What a transaction holds comes back when its COMMIT has been answered, which may be later than its promise. */
	const nothingIsHeld = (): Promise<void> => untilTrue(() => poolOf(db).numUsed() === 0, { what: "all is given back" });

	for (const subject of subjects) {
		describe(`over ${subject.name}`, () => {
			beforeEach(() => prepare(subject));

			describe("models", () => {
				it("insert, find, patch and delete", async () => {
					const author = await Authors.query().insert({ penName: "Ana" });
					expect(author).to.be.instanceOf(Author);
					expect(await Authors.query().findById(author.id)).to.deep.equal(author);
					expect(await Authors.query().patchAndFetchById(author.id, { penName: "Ann" })).to.have.property("penName", "Ann");
					expect(await author.$query().delete()).to.equal(1);
					expect(await Authors.query().resultSize()).to.equal(0);
					await nothingIsHeld();
				});

				it("have columns in snake case, and properties in camel case", async () => {
					await Authors.query().insert({ penName: "Ana" });
					expect(await ask(`select pen_name from "${schema}".authors`)).to.deep.equal([{ pen_name: "Ana" }]);
					expect(await Authors.query().select("penName")).to.deep.equal([{ penName: "Ana" }]);
					expect(await db("authors").first("penName")).to.deep.equal({ penName: "Ana" });
				});

				it("tell the violations of constraints apart, and what is not found", async () => {
					await Authors.query().insert({ penName: "Ana" });
					const unique = await rejection(Authors.query().insert({ penName: "Ana" }).execute());
					expect(unique).to.be.instanceOf(UniqueViolationError).and.to.have.deep.property("columns", ["pen_name"]);
					const foreign = await rejection(Books.query().insert({ authorId: 0, title: "Nobody's" }).execute());
					expect(foreign).to.be.instanceOf(ForeignKeyViolationError);
					const missing = await rejection(Authors.query().findById(0).throwIfNotFound().execute());
					expect(missing).to.be.instanceOf(NotFoundError);
					await nothingIsHeld();
				});
			});

			describe("relations", () => {
				const graph = {
					penName: "Ana",
					books: [{ title: "One", tags: [{ label: "old", tagRank: 1 }] }, { title: "Two" }],
				};

				it("are inserted and fetched as a graph", async () => {
					const { id } = await Authors.query().insertGraph(graph);
					const author = await Authors.query().findById(id).withGraphFetched("books(inOrder).tags").modifiers({ inOrder });
					expect(titlesAndTags(author)).to.deep.equal([
						["One", ["old 1"]],
						["Two", []],
					]);
					expect(author?.books?.[0]).to.be.instanceOf(Book);
					await nothingIsHeld();
				});

				it("are joined", async () => {
					await Authors.query().insertGraph(graph);
					const books = await Books.query().withGraphJoined("[author, tags]").orderBy("books.id");
					expect(books.map(({ author }) => author?.penName)).to.deep.equal(["Ana", "Ana"]);
					expect(books[0]?.tags?.[0]).to.include({ label: "old", tagRank: 1 });
				});

				it("are changed by upsertGraph", async () => {
					const inserted = await Authors.query().insertGraph(graph);
					const [first] = inserted.books ?? [];
					await Authors.query().upsertGraph({
						id: inserted.id,
						books: [{ id: first?.id as number, title: "Uno" }, { title: "Three" }],
					});
					const author = await Authors.query().findById(inserted.id).withGraphFetched("books(inOrder)").modifiers({ inOrder });
					expect(author?.books?.map(({ title }) => title)).to.deep.equal(["Uno", "Three"]);
				});

				it("are found from a model", async () => {
					const author = await Authors.query().insertGraph(graph);
					await author.$relatedQuery("books").insert({ title: "Three" });
					expect(await author.$relatedQuery("books").resultSize()).to.equal(3);
				});
			});

			describe("transactions", () => {
				it("of Model.transaction commit what the callback has done, on one connection", async () => {
					await Authors.transaction(async (trx) => {
						await Authors.query(trx).insertGraph({ penName: "Ana", books: [{ title: "One" }, { title: "Two" }] });
						expect(await penNames()).to.deep.equal([]);
						expect(await backendOf(trx)).to.equal(await backendOf(trx));
						expect(poolOf(db).numUsed()).to.equal(1);
					});
					expect(await penNames()).to.deep.equal(["Ana"]);
					expect(await Books.query().resultSize()).to.equal(2);
					await nothingIsHeld();
				});

				it("of Model.transaction undo everything when the callback fails", async () => {
					const failed = Authors.transaction(async (trx) => {
						const author = await Authors.query(trx).insert({ penName: "Ana" });
						await author.$relatedQuery("books", trx).insert({ title: "One" });
						await Authors.query(trx).insert({ penName: "Ana" });
					});
					expect(await rejection(failed)).to.be.instanceOf(UniqueViolationError);
					expect(await penNames()).to.deep.equal([]);
					await nothingIsHeld();
				});

				it("of transaction.start last until commit or rollback", async () => {
					for (const end of ["commit", "rollback"] as const) {
						const trx = await transaction.start(Authors);
						await Authors.query(trx).insert({ penName: end });
						await trx[end]();
						expect(trx.isCompleted()).to.equal(true);
					}
					expect(await penNames()).to.deep.equal(["commit"]);
					await nothingIsHeld();
				});

				it("bind the models that they are given", async () => {
					await transaction(Authors, Books, async (BoundAuthors, BoundBooks) => {
						const { id } = await BoundAuthors.query().insert({ penName: "Ana" });
						await BoundBooks.query().insert({ authorId: id, title: "One" });
						expect(await Books.query().resultSize()).to.equal(0);
					});
					expect(await Books.query().resultSize()).to.equal(1);
				});

				it("undo a nested one alone", async () => {
					await Authors.transaction(async (outer) => {
						await Authors.query(outer).insert({ penName: "outer" });
						const nested = transaction(outer, async (inner) => {
							await Authors.query(inner).insert({ penName: "inner" });
							throw new Error("no");
						});
						expect(await rejection(nested)).to.have.property("message", "no");
					});
					expect(await penNames()).to.deep.equal(["outer"]);
				});
			});
		});
	}

	for (const subject of guarded) {
		describe(`after a process change, ${subject.name}`, () => {
			beforeEach(() => prepare(subject));

			it("models bound before are queried on a connection of the new process", async () => {
				await Authors.query().insertGraph({ penName: "Ana", books: [{ title: "One" }] });
				const before = await backendOf(db);
				pretendFork();
				const [author] = await Authors.query().withGraphFetched("books");
				expect(titlesAndTags(author)).to.deep.equal([["One", []]]);
				expect(await backendOf(db)).not.to.equal(before);
			});

			it("a transaction begun before is refused, statement and commit, and the error is not wrapped", async () => {
				const trx = await transaction.start(Authors);
				await Authors.query(trx).insert({ penName: "Ana" });
				follow(trx.executionPromise);
				const change = pretendFork();
				const insert = Authors.query(trx).insert({ penName: "Ben" }).execute();
				expect(await rejection(insert))
					.to.be.instanceOf(InheritedConnectionError)
					.and.to.include({ change });
				expect(await rejection(trx.commit()))
					.to.be.instanceOf(InheritedConnectionError)
					.and.to.include({ change });
				expect(await Authors.query().resultSize()).to.equal(0);
			});

			it("a transaction of Model.transaction rejects, and what it has done is undone", async () => {
				const begun = Authors.transaction(async (trx) => {
					await Authors.query(trx).insert({ penName: "Ana" });
					pretendFork();
					await Authors.query(trx).insertGraph({ penName: "Ben", books: [{ title: "One" }] });
				});
				expect(await rejection(begun)).to.be.instanceOf(InheritedConnectionError);
				expect(await Authors.query().resultSize()).to.equal(0);
				expect(poolOf(db).numUsed()).to.equal(0);
			});
		});
	}
});

function inOrder(query: { orderBy(column: string): unknown }): void {
	query.orderBy("books.id");
}

function titlesAndTags(author: Author | undefined): [title: string, tags: string[]][] {
	return (author?.books ?? []).map(({ title, tags = [] }) => [title, tags.map(({ label, tagRank }) => `${label} ${tagRank}`)]);
}
