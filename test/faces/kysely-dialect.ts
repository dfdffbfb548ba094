/** The faces of Kysely, over whichever dialect. */
import { CompiledQuery, type Dialect, Kysely } from "kysely";
import type { Counts, Face, Held, OpenOptions, Subject } from "./face.ts";

/** What has to be known of what is below a Kysely. */
export interface KyselyDialect {
	open(isProtected: boolean, options: OpenOptions): { readonly dialect: Dialect; readonly pool: KyselyPool };
	/** With the driver's placeholders. `numbers` answers with as many rows as its name says, in the column `n`. */
	readonly statements: Readonly<Record<"echo" | "insert" | "sleep" | "backend" | "numbers", string>>;
	/** So many rows has `numbers`, more than fit into the buffers between the server and who reads. */
	readonly numbers: number;
}

/** The pool below it. */
interface KyselyPool {
	counts(): Counts;
	/** Calls back once with the driver's object for the connection that is taken next. */
	onceAcquired(listener: (connection: object) => void): void;
	/** Ends a connection by its driver's own means. */
	end(connection: object): Promise<void> | void;
}

/** The face of ours, or of plain Kysely with the defaults that the scenarios need. */
export function kyselyFaceOver(dialect: KyselyDialect, face: Pick<Face, "name" | "library" | "isProtected" | "server">): Face {
	return { ...face, open: (options) => subject(dialect, face.isProtected, options) };
}

function subject(kyselyDialect: KyselyDialect, isProtected: boolean, options: OpenOptions): Subject {
	const { dialect, pool } = kyselyDialect.open(isProtected, options);
	const db = new Kysely<unknown>({ dialect });
	const { echo, insert, sleep } = kyselyDialect.statements;
	return {
		echo: (text) => ask(db, echo, [text]),
		insert: async (key) => void (await ask(db, insert, [key])),
		sleep: async (millis) => void (await ask(db, sleep, [millis])),
		hold: () => hold(db, pool, kyselyDialect),
		counts: () => pool.counts(),
		end: () => db.destroy(),
	};
}

/** Kysely lends a connection for the time of a callback; this one ends at `release`. */
function hold(db: Kysely<unknown>, pool: KyselyPool, { statements }: KyselyDialect): Promise<Held> {
	return new Promise((resolve, reject) => {
		let raw: object;
		pool.onceAcquired((connection) => {
			raw = connection;
		});
		const released = Promise.withResolvers<void>();
		const lent = db.connection().execute(async (connection) => {
			resolve({
				raw,
				backend: () => ask(connection, statements.backend),
				echo: (text) => ask(connection, statements.echo, [text]),
				insert: async (key) => void (await ask(connection, statements.insert, [key])),
				end: async () => pool.end(raw),
				release: async () => {
					released.resolve();
					await lent;
				},
			});
			await released.promise;
		});
		lent.catch(reject);
	});
}

/** What a statement is answered, in the column `answer`. */
export async function ask(db: Kysely<unknown>, statement: string, values: unknown[] = []): Promise<string> {
	const { rows } = await db.executeQuery<{ answer: string | number }>(CompiledQuery.raw(statement, values));
	return String(rows[0]?.answer ?? "");
}
