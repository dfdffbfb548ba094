/** Pools without a server, while a start-up snapshot is built and in what starts from it. */
// The order counts.
import "./early.ts";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { startupSnapshot } from "node:v8";
import { reportInSnapshot as report } from "../../../../test/support/report-in-snapshot.ts";
import { currentGeneration, type Driver, lastProcessChange, Ownership, Pool, registerHolder } from "../../src/index.ts";
import { doFirst } from "./early.ts";

/** A connection whose end takes a while, as that of a socket does: it is over only if the event loop stays alive. */
class Line {
	readonly ownership = new Ownership("always", () => {});
	readonly end = Promise.withResolvers<void>();
	timer: NodeJS.Timeout | undefined;

	constructor() {
		this.ownership.begin();
	}
}

const counts = { opened: 0, ended: 0, discarded: 0 };
const { FORKSAFE_TEST_CASE: what = "" } = process.env;
const endsAfterMillis = what === "endless" ? 2 ** 30 : 30;

const driver: Driver<Line> = {
	async connect() {
		await delay(1);
		counts.opened++;
		return new Line();
	},
	isAlive: () => true,
	ref: (line) => {
		// Until then it is idle or in use, and does nothing.
		line.timer ??= setTimeout(() => line.end.resolve(), endsAfterMillis);
	},
	unref: (line) => void line.timer?.unref(),
	async destroy(line) {
		line.timer ??= setTimeout(() => line.end.resolve(), endsAfterMillis).unref();
		await line.end.promise;
		line.ownership.end();
		counts.ended++;
	},
	discard: () => void counts.discarded++,
};
const pool = new Pool(driver, {
	name: "orders",
	min: 2,
	max: 3,
	idleTimeoutMillis: 200,
	// Its timer keeps the event loop alive, too.
	destroyTimeoutMillis: what === "endless" ? 100 : 0,
});

const cases: Readonly<Record<string, () => Promise<void>>> = {
	async used() {
		await Promise.all(Array.from({ length: 6 }, () => pool.use(() => delay(5))));
		await pool.acquire({ signal: AbortSignal.abort() }).catch(() => {});
	},
	async "given up"() {
		// V8 collects its garbage before it writes.
		for (let i = 0; i < 200; i++) {
			new Pool(driver).on("close", () => {});
			registerHolder({ discardInherited: () => {} });
		}
		await pool.use(() => {});
	},
	async forgotten() {
		await (async function forgetful() {
			await pool.acquire();
			await pool.acquire();
		})();
	},
	async endless() {
		await pool.use(() => {});
	},
	async "asked first"() {
		doFirst(() => report({ first: currentGeneration() }));
	},
};

/** After the clock has begun anew. */
async function main(): Promise<void> {
	const { cause, generation } = lastProcessChange() ?? {};
	report({ cause, generation, current: currentGeneration(), counts, stats: pool.stats() });
	const held = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
	const before = performance.now();
	const refusal: unknown = await pool.acquire({ timeoutMillis: 100 }).catch((error: unknown) => error);
	report({ waited: performance.now() - before, code: (refusal as NodeJS.ErrnoException).code });
	for (const line of held) pool.release(line);
	report({ idle: pool.stats().idle });
	// One is more than `min`.
	pool.once("destroy", () => report({ idle: pool.stats().idle }));
	const stays = setTimeout(() => {}, 10_000);
	pool.once("destroy", () => clearTimeout(stays));
}

startupSnapshot.addSerializeCallback(() => report({ counts, stats: pool.stats(), now: performance.now() }));
startupSnapshot.setDeserializeMainFunction(() => void main());
void cases[what]?.();
