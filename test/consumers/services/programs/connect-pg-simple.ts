/** Sessions of express in PostgreSQL: the store of connect-pg-simple over a Pool of pg's interface. */
import { promisify } from "node:util";
import connectPgSimple from "connect-pg-simple";
import session from "express-session";
import { runConsumer } from "../../../support/consumer-program.ts";
import { untilTrue } from "../../../support/until-true.ts";
import { sqlWork } from "../support/sql-work.ts";

/** What the application keeps in a session. */
interface Kept extends session.SessionData {
	readonly text: string;
}

/** Counts how often its timer has gone off. It is set again when what it has begun is over. */
class Store extends connectPgSimple(session) {
	prunings = 0;

	override pruneSessions(callback?: (error: Error) => void): void {
		this.prunings++;
		super.pruneSessions(callback);
	}
}

await runConsumer({
	written: "select sid as key from consumer_sessions where starts_with(sid, $1)",
	open({ openPool }) {
		const pool = openPool();
		const store = new Store({
			pool,
			tableName: "consumer_sessions",
			pruneSessionInterval: 0.2,
			pruneSessionRandomizedInterval: false,
			errorLog: () => {},
		});
		const get = promisify(store.get.bind(store));
		const set = promisify(store.set.bind(store));
		const destroy = promisify(store.destroy.bind(store));
		let sessions = 0;
		const { backend, sleep } = sqlWork(pool);
		return {
			pool,
			backend,
			sleep,
			async echo(text) {
				const id = `${process.pid}-${text}-${sessions++}`;
				await set(id, kept(text));
				const found = await get(id);
				await destroy(id);
				return (found as Kept | null | undefined)?.text ?? "no session";
			},
			insert: (key) => set(key, kept(key)),
			has: async (key) => (await get(key)) != null,
			async end() {
				const before = store.prunings;
				await untilTrue(() => store.prunings > before + 1, { what: "sessions were pruned, and will be again" });
				store.close();
				await pool.end();
			},
		};
	},
});

function kept(text: string): Kept {
	const cookie = new session.Cookie();
	cookie.maxAge = 60_000;
	return { cookie, text };
}
