/** Models of Objection.js, and the tables that they need. */
import type { Knex } from "knex";
import { Model, type RelationMappings } from "objection";

/** With `knexSnakeCaseMappers()`, its `penName` is the column `pen_name`. */
export class Author extends Model {
	static override tableName = "authors";
	declare id: number;
	declare penName: string;
	declare books?: Book[];

	static override get relationMappings(): RelationMappings {
		return {
			books: {
				relation: Model.HasManyRelation,
				modelClass: Book,
				join: { from: "authors.id", to: "books.authorId" },
			},
		};
	}
}

export class Book extends Model {
	static override tableName = "books";
	declare id: number;
	declare authorId: number;
	declare title: string;
	declare author?: Author;
	declare tags?: Tag[];

	static override get relationMappings(): RelationMappings {
		return {
			author: {
				relation: Model.BelongsToOneRelation,
				modelClass: Author,
				join: { from: "books.authorId", to: "authors.id" },
			},
			tags: {
				relation: Model.ManyToManyRelation,
				modelClass: Tag,
				join: {
					from: "books.id",
					through: { from: "booksTags.bookId", to: "booksTags.tagId", extra: ["tagRank"] },
					to: "tags.id",
				},
			},
		};
	}
}

export class Tag extends Model {
	static override tableName = "tags";
	declare id: number;
	declare label: string;
	/** Of the row that joins it to a book. */
	declare tagRank?: number;
}

/** Makes the tables in the first schema of the `searchPath`. */
export async function createTables(db: Knex): Promise<void> {
	await db.schema.createTable("authors", (table) => {
		table.increments("id");
		table.text("penName").notNullable().unique();
	});
	await db.schema.createTable("books", (table) => {
		table.increments("id");
		table.integer("authorId").notNullable().references("id").inTable("authors");
		table.text("title").notNullable();
	});
	await db.schema.createTable("tags", (table) => {
		table.increments("id");
		table.text("label").notNullable();
	});
	await db.schema.createTable("booksTags", (table) => {
		table.integer("bookId").notNullable().references("id").inTable("books");
		table.integer("tagId").notNullable().references("id").inTable("tags");
		table.integer("tagRank");
	});
}
