/**
 * Who holds how many permits, and who waits for them. It knows neither sockets nor timers.
 *
 * Invariants:
 * - what all accounts hold and what is withheld for the dead are never above the permits, unless an account has come that
 *   held its permits before
 * - nobody waits while a permit is free
 */
import { fairShares } from "./fair-shares.ts";
import type { ToBudget, ToProcess } from "./messages.ts";

/** So long a server takes to notice that a process has died. Until then its sessions count. */
export const SETTLING_MILLIS = 1_000;
/** Of two whose shares differ by one, the one that has waited for so long has its turn. */
export const TURN_MILLIS = 500;

/** What all processes together hold and wait for. */
export interface LedgerStats {
	readonly processes: number;
	readonly held: number;
	readonly free: number;
	readonly waiting: number;
	/** Of the dead, whose sessions the server may still have. */
	readonly withheld: number;
}

/** What is kept of a process that has died. */
interface Remains {
	readonly at: number;
	/** In place of which the reserve is used. */
	readonly fromReserve: number;
	readonly withheld: number;
}

export class Ledger {
	readonly #permits: number;
	readonly #reserve: number;
	readonly #now: () => number;
	readonly #accounts = new Set<Account>();
	#remains: Remains[] = [];

	/** @param reserve so many sessions of the dead do not count at once */
	constructor(permits: number, reserve: number, now: () => number) {
		this.#permits = permits;
		this.#reserve = reserve;
		this.#now = now;
	}

	/** Whether time alone can change something. */
	get isBusy(): boolean {
		return this.#remains.length > 0 || this.#sum(({ waiting }) => waiting) > 0;
	}

	stats(): LedgerStats {
		const held = this.#sum(({ held }) => held);
		const withheld = this.#remains.reduce((sum, remains) => sum + remains.withheld, 0);
		return {
			processes: this.#accounts.size,
			held,
			free: Math.max(0, this.#permits - held - withheld),
			waiting: this.#sum(({ waiting }) => waiting),
			withheld,
		};
	}

	/** A process has come. */
	join(send: (message: ToProcess) => void): Account {
		const account = new Account(send, this.#now());
		this.#accounts.add(account);
		this.#tellShares();
		return account;
	}

	receive(account: Account, { holds = 0, asks = 0, returns = 0 }: ToBudget): void {
		if (!this.#accounts.has(account)) return;
		if (asks > 0 && account.waiting === 0) account.waitingSince = this.#now();
		account.held = Math.max(0, account.held + holds - returns);
		// What was granted and withdrawn at the same moment comes back.
		account.waiting = Math.max(0, account.waiting + asks);
		this.#serve();
	}

	/** A process has gone, and with it its connections; the server may need a moment to notice. */
	leave(account: Account): void {
		if (!this.#accounts.delete(account)) return;
		if (account.held > 0) {
			const used = this.#remains.reduce((sum, remains) => sum + remains.fromReserve, 0);
			const fromReserve = Math.min(account.held, this.#reserve - used);
			this.#remains.push({ at: this.#now() + SETTLING_MILLIS, fromReserve, withheld: account.held - fromReserve });
		}
		this.#tellShares();
		this.#serve();
	}

	/** To be called every now and then while it is busy. */
	tick(): void {
		const now = this.#now();
		this.#remains = this.#remains.filter(({ at }) => at > now);
		this.#serve();
		this.#askForSpare();
	}

	#serve(): void {
		const accounts = this.#byPrecedence();
		// A grant leaves them as they are: what was waited for is held.
		const shares = fairShares(
			this.#permits,
			accounts.map(({ held, waiting }) => held + waiting),
		);
		const grants = this.#grant(accounts, shares);
		this.#tellLimits(accounts, shares);
		for (const [account, count] of grants) account.send({ grants: count });
	}

	/** What is free, to those whom most is missing of their shares. */
	#grant(accounts: readonly Account[], shares: readonly number[]): Map<Account, number> {
		const grants = new Map<Account, number>();
		const now = this.#now();
		for (let { free } = this.stats(); free > 0; free--) {
			let [mostMissing, poorest]: [number, Account | undefined] = [0, undefined];
			for (const [index, account] of accounts.entries()) {
				const missing = (shares[index] ?? 0) - account.held;
				if (account.waiting > 0 && missing > mostMissing) [mostMissing, poorest] = [missing, account];
			}
			if (poorest === undefined) break;
			poorest.held++;
			poorest.waiting--;
			if (now - poorest.waitingSince >= TURN_MILLIS) poorest.turnUntil = now + TURN_MILLIS;
			poorest.waitingSince = poorest.grantedAt = now;
			grants.set(poorest, (grants.get(poorest) ?? 0) + 1);
		}
		return grants;
	}

	#tellLimits(accounts: readonly Account[], shares: readonly number[]): void {
		const isShort = this.#sum(({ waiting }) => waiting) > 0;
		for (const [index, account] of accounts.entries()) {
			const share = shares[index] ?? 0;
			const keep = isShort && account.held > share ? share : null;
			const spare = isShort ? account.spare : 0;
			if (keep === account.keep && spare === account.spare) continue;
			if (keep !== null) account.waitingSince = this.#now(); // its turn is over
			account.keep = keep;
			account.spare = spare;
			account.send({ keep, spare });
		}
	}

	/** Who gets what cannot be divided: those who have their turn, those whose turn it is, then those who hold most. */
	#byPrecedence(): Account[] {
		const now = this.#now();
		const accounts = [...this.#accounts];
		const least = Math.min(...accounts.filter(({ waiting }) => waiting > 0).map(({ held }) => held));
		const rank = (account: Account): number => {
			if (now < account.turnUntil) return 0;
			return account.waiting > 0 && account.held === least && now - account.waitingSince >= TURN_MILLIS ? 1 : 2;
		};
		const ranks = new Map(accounts.map((account) => [account, rank(account)] as const));
		return accounts.sort((a, b) => {
			const byRank = (ranks.get(a) ?? 0) - (ranks.get(b) ?? 0);
			if (byRank !== 0) return byRank;
			return ranks.get(a) === 1 ? a.waitingSince - b.waitingSince : b.held - a.held || b.grantedAt - a.grantedAt;
		});
	}

	/** Those who wait have their shares. More is there only where somebody does not need what they have. */
	#askForSpare(): void {
		const recalled = [...this.#accounts].reduce((sum, { held, keep }) => sum + (keep === null ? 0 : held - keep), 0);
		const short = this.#sum(({ waiting }) => waiting) - recalled;
		const holders = [...this.#accounts].filter(({ waiting, held, keep }) => waiting === 0 && held > 0 && keep === null);
		if (short <= 0 || holders.length === 0) return;
		const spare = Math.ceil(short / holders.length);
		for (const account of holders) {
			account.spare = spare;
			account.send({ keep: null, spare });
		}
	}

	#tellShares(): void {
		const accounts = [...this.#accounts];
		const shares = fairShares(
			this.#permits,
			accounts.map(() => Number.MAX_SAFE_INTEGER),
		);
		for (const [index, account] of accounts.entries()) {
			const share = shares[index] ?? 0;
			if (share === account.share) continue;
			account.share = share;
			account.send({ share });
		}
	}

	#sum(count: (account: Account) => number): number {
		let sum = 0;
		for (const account of this.#accounts) sum += count(account);
		return sum;
	}
}

/** What the ledger knows of one process. */
export class Account {
	readonly send: (message: ToProcess) => void;
	held = 0;
	waiting = 0;
	/** Since when it has waited without being given any. */
	waitingSince: number;
	grantedAt: number;
	turnUntil = 0;
	/** As it was told last. */
	keep: number | null = null;
	spare = 0;
	share = -1;

	constructor(send: (message: ToProcess) => void, now: number) {
		this.send = send;
		this.waitingSince = this.grantedAt = now;
	}
}
