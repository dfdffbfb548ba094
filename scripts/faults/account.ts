/** How the queries of one program went, as the program itself sees it. */
export interface Account {
	readonly asked: number;
	readonly answered: number;
	readonly failed: number;
	/** Neither answered nor failed when the program stopped waiting, or died. */
	readonly hung: number;
	/** From the first question on. */
	readonly firstErrorMillis: number | undefined;
	readonly lastErrorMillis: number | undefined;
	/** When the last one was settled. */
	readonly lastMillis: number;
	/** From the moment that the scenario has named on, to the last answer. */
	readonly sinceMarkMillis: number | undefined;
	/** The longest time that the event loop did not turn. */
	readonly blockedMillis: number | undefined;
	/** What all of it would have taken if nobody had been in the way. */
	readonly idealMillis: number | undefined;
	readonly failures: readonly Failure[];
	/** Counters, descriptors and further queries when all was over. */
	readonly aftermath: readonly string[];
	/** Why the scenario could not be played as it is written. */
	readonly broken: string | undefined;
	readonly isDone: boolean;
}

/** Errors that say the same. */
export interface Failure {
	readonly times: number;
	/** Its message, and those of its causes. */
	readonly text: string;
	/** Its code, and those of its causes. */
	readonly codes: readonly string[];
}

/** For a program that died before it could say anything. */
export const silence: Account = {
	asked: 0,
	answered: 0,
	failed: 0,
	hung: 0,
	firstErrorMillis: undefined,
	lastErrorMillis: undefined,
	lastMillis: 0,
	sinceMarkMillis: undefined,
	blockedMillis: undefined,
	idealMillis: undefined,
	failures: [],
	aftermath: [],
	broken: undefined,
	isDone: false,
};

/** Of several programs that did the same at once. */
export function sum(accounts: readonly Account[]): Account {
	const total = (pick: (account: Account) => number): number => accounts.reduce((n, account) => n + pick(account), 0);
	const all = (pick: (account: Account) => number | undefined): number[] => accounts.map(pick).filter((n) => n !== undefined);
	const least = (values: readonly number[]): number | undefined => (values.length > 0 ? Math.min(...values) : undefined);
	const most = (values: readonly number[]): number | undefined => (values.length > 0 ? Math.max(...values) : undefined);
	return {
		asked: total(({ asked }) => asked),
		answered: total(({ answered }) => answered),
		failed: total(({ failed }) => failed),
		hung: total(({ hung }) => hung),
		firstErrorMillis: least(all(({ firstErrorMillis }) => firstErrorMillis)),
		lastErrorMillis: most(all(({ lastErrorMillis }) => lastErrorMillis)),
		lastMillis: Math.max(...accounts.map(({ lastMillis }) => lastMillis)),
		sinceMarkMillis: most(all(({ sinceMarkMillis }) => sinceMarkMillis)),
		blockedMillis: most(all(({ blockedMillis }) => blockedMillis)),
		idealMillis: most(all(({ idealMillis }) => idealMillis)),
		failures: accounts.flatMap(({ failures }) => failures),
		aftermath: [...new Set(accounts.flatMap(({ aftermath }) => aftermath))],
		broken: accounts.find(({ broken }) => broken !== undefined)?.broken,
		isDone: accounts.every(({ isDone }) => isDone),
	};
}
