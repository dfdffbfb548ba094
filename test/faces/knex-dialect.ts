import type { Knex } from "knex";
import type { OpenOptions } from "./face.ts";

/** What the scenarios of Knex's own have to know of what is below it. */
export interface KnexDialect {
	/** A Knex of ours, or a plain one. */
	open(isProtected: boolean, options: OpenOptions): Knex;
	/** With Knex's placeholders. */
	readonly statements: Readonly<Record<"echo" | "insert" | "sleep" | "backend", string>>;
	/** What a raw query was answered, in the column of this name. */
	answer(result: unknown): string;
}
