import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { report } from "../../test/support/report.ts";
import { untilTrue } from "../../test/support/until-true.ts";
import type { Account } from "./account.ts";
import type { Action, Scenario, Way } from "./scenario.ts";
import type { Opened, OpenOptions, Subject } from "./subjects.ts";
import { max } from "./subjects.ts";
import { Tally } from "./tally.ts";

/** What the stage tells a program. */
export interface Casting {
	readonly subject: string;
	readonly scenario: string;
	readonly way: Way;
	readonly url: string;
	/** Where the bell is. */
	readonly bellPort: number;
	/** Where the stage's answers are. */
	readonly answers: string;
}

/** What a program tells the stage. */
export interface Line {
	readonly please?: { readonly id: number; readonly action: Action };
	readonly account?: Account;
}

const queries = 20;
const actionMillis = 30_000;
const goingMillis = 4_000;

/** Where a scenario is played: a pool, its queries, and a stage that causes the faults. */
export class Bench {
	readonly #casting: Casting;
	readonly #subject: Subject;
	readonly #bell: Socket;
	readonly #socketsBefore: number;
	readonly #log: string[] = [];
	readonly #aftermath: string[] = [];
	#tally = new Tally();
	#opened: Opened | undefined;
	#lastId = 0;
	#blockedMillis: number | undefined;
	#idealMillis: number | undefined;
	#broken: string | undefined;
	#isDone = false;

	constructor(casting: Casting, subject: Subject, bell: Socket) {
		this.#casting = casting;
		this.#subject = subject;
		this.#bell = bell;
		this.#socketsBefore = openSockets();
	}

	/** Connects to the bell. */
	static async open(casting: Casting, subject: Subject): Promise<Bench> {
		const bell = connect(casting.bellPort, "127.0.0.1");
		await new Promise<void>((resolve, reject) => void bell.once("connect", resolve).once("error", reject));
		return new Bench(
			casting,
			subject,
			bell.on("error", () => {}),
		);
	}

	/** The pool; made at the first use. */
	get pool(): Opened {
		return this.openWith({});
	}

	/** Makes the pool, with other options than the default ones. */
	openWith(options: Omit<OpenOptions, "url" | "log">): Opened {
		const hears = options.leakThresholdMillis !== undefined;
		this.#opened ??= this.#subject.open({
			...options,
			url: this.#casting.url,
			...(hears && { log: (line: string) => void this.#log.push(line) }),
		});
		return this.#opened;
	}

	/** The lines that the pool has logged. */
	get log(): readonly string[] {
		return this.#log;
	}

	/** Opens every connection that the pool may have. */
	async warm(): Promise<void> {
		await Promise.all(Array.from({ length: max }, () => this.pool.ask("warm", 60)));
	}

	/** Asks so many at once, in this very tick. */
	ask(count = queries, millis = 0): void {
		for (let n = 0; n < count; n++) void this.#follow(millis);
	}

	/** Asks one after another. */
	async askInTurn(count = queries, millis = 0): Promise<void> {
		for (let n = 0; n < count; n++) await this.#follow(millis);
	}

	/** Waits for what was asked. What has not come by then hangs. */
	settled(deadlineMillis: number): Promise<void> {
		return this.#tally.settled(deadlineMillis);
	}

	/** Time counts from here on. */
	mark(): void {
		this.#tally.mark();
	}

	/** Something is not as the scenario needs it: nothing that follows means anything. */
	broken(why: string): void {
		this.#broken ??= why;
	}

	/** What is wrong when all is over, and that only the scenario itself can tell. */
	flaw(what: string): void {
		this.#aftermath.push(what);
	}

	/** Calls from a timer or from a socket's message, as this way of the scenario has it, in the very phase of the loop. */
	async awake(work: () => void): Promise<void> {
		if (this.#casting.way.wake === "message") {
			const heard = this.#heard(work);
			await this.please("ring");
			return heard;
		}
		return new Promise((resolve) => {
			setTimeout(() => {
				work();
				resolve();
			}, 20);
		});
	}

	/** The whole program is stopped, every session ends, and the first that it does when it goes on is the work. */
	async awakeFromFreeze(work: () => void): Promise<void> {
		const start = performance.now();
		const check = (): void => {
			if (performance.now() - start < 3_000) this.broken("the program was not stopped in time");
			work();
		};
		const isByMessage = this.#casting.way.wake === "message";
		const woken = isByMessage
			? this.#heard(check)
			: new Promise<void>((resolve) => {
					setTimeout(() => {
						check();
						resolve();
					}, 1_500);
				});
		const frozen = this.please("freeze for 3 s");
		await woken;
		await frozen;
	}

	/** Has something done by the stage, while the event loop turns. */
	async please(action: Action): Promise<string> {
		const path = this.#ask(action);
		await untilTrue(() => existsSync(path), { what: action, deadlineMillis: actionMillis });
		return answerOf(path);
	}

	/** Has something done by the stage, while the event loop is blocked. */
	pleaseNow(action: Action): string {
		const path = this.#ask(action);
		const deadline = performance.now() + actionMillis;
		const cell = new Int32Array(new SharedArrayBuffer(4));
		while (!existsSync(path)) {
			if (performance.now() > deadline) throw new Error(`not within ${actionMillis} ms: ${action}`);
			Atomics.wait(cell, 0, 0, 2);
		}
		return answerOf(path);
	}

	/** How long so many queries take on one connection that nobody contends for. */
	async measureIdeal(count: number, millis: number, share: number): Promise<void> {
		const pool = new pg.Pool({ connectionString: this.#casting.url, max: 1 });
		try {
			const start = performance.now();
			await Promise.all(Array.from({ length: count }, () => pool.query("select pg_sleep($1::float8 / 1000)", [millis])));
			this.#idealMillis = (performance.now() - start) * share;
		} finally {
			await pool.end();
		}
	}

	/** The longest time without a turn of the event loop, from here until the function is called that this gives. */
	watchLoop(): () => void {
		let last = performance.now();
		let isWatching = true;
		const turn = (): void => {
			const now = performance.now();
			this.#blockedMillis = Math.max(this.#blockedMillis ?? 0, now - last);
			last = now;
			if (isWatching) setImmediate(turn);
		};
		setImmediate(turn);
		return () => {
			isWatching = false;
		};
	}

	/** Is the pool as good as new? */
	async inspect({ isHopeless = false, isProxied = false, processes = 1 }: Scenario): Promise<void> {
		const tally = this.#tally;
		if (!isHopeless && processes === 1) {
			this.#tally = new Tally();
			this.ask();
			await this.settled(5_000);
			const { failed, hung } = this.#tally.account();
			if (failed > 0) this.flaw(`${failed} of the next ${queries} fail`);
			if (hung > 0) this.flaw(`${hung} of the next ${queries} hang`);
			this.#tally = tally;
		}
		const isQuiet = (): boolean => this.pool.counts().used === 0 && this.pool.counts().pending === 0;
		await untilTrue(isQuiet, { what: "idle", deadlineMillis: goingMillis }).catch(() => {
			const { used, pending } = this.pool.counts();
			this.flaw(`counters: ${used} used and ${pending} pending with nothing to do`);
		});
		const surplus = (): number => openSockets() - this.#socketsBefore - this.pool.counts().idle;
		await untilTrue(() => surplus() === 0, { what: "no leak", deadlineMillis: goingMillis }).catch(() => {
			this.flaw(`descriptors: ${surplus()} more than the pool's idle connections`);
		});
		// Behind the proxy, the server may go on holding what the client has long closed.
		if (isHopeless || isProxied || processes > 1) return;
		const [idle, sessions] = [this.pool.counts().idle, Number(await this.please("count sessions"))];
		if (idle !== sessions) this.flaw(`counters: ${idle} idle, ${sessions} sessions`);
	}

	/** Ends the pool: then no socket may be left. */
	async close(): Promise<void> {
		const ended = this.pool.end().then(
			() => true,
			() => true,
		);
		await untilTrue(() => ended, { what: "the end of the pool", deadlineMillis: goingMillis }).catch(() =>
			this.flaw(`the pool does not end within ${goingMillis} ms`),
		);
		const left = (): number => openSockets() - this.#socketsBefore;
		await untilTrue(() => left() === 0, { what: "no socket", deadlineMillis: goingMillis }).catch(() =>
			this.flaw(`descriptors: ${left()} sockets after the end of the pool`),
		);
	}

	/** Tells the stage how it stands; what comes later counts more. */
	tell({ isDone = this.#isDone } = {}): void {
		this.#isDone = isDone;
		const own = {
			blockedMillis: this.#blockedMillis,
			idealMillis: this.#idealMillis,
			aftermath: this.#aftermath,
			broken: this.#broken,
			isDone,
		};
		const line: Line = { account: { ...this.#tally.account(), ...own } };
		report(line);
	}

	#follow(millis: number): Promise<void> {
		const text = `query ${++this.#lastId}`;
		return this.#tally.follow(text, () => this.pool.ask(text, millis));
	}

	#heard(work: () => void): Promise<void> {
		return new Promise((resolve) => {
			this.#bell.once("data", () => {
				work();
				resolve();
			});
		});
	}

	#ask(action: Action): string {
		const id = ++this.#lastId;
		const line: Line = { please: { id, action } };
		report(line);
		return join(this.#casting.answers, `${process.pid}-${id}`);
	}
}

function answerOf(path: string): string {
	const answer = readFileSync(path, "utf8");
	if (answer.startsWith("error: ")) throw new Error(answer);
	return answer;
}

/** On Linux. Elsewhere none are seen, and none are missed. */
function openSockets(): number {
	const folder = "/proc/self/fd";
	if (!existsSync(folder)) return 0;
	return readdirSync(folder).filter((fd) => {
		try {
			return readlinkSync(join(folder, fd)).startsWith("socket:");
		} catch {
			return false; // the one that the folder was read through
		}
	}).length;
}
