import type { Transport } from "./bench-server.ts";
import { type Kind, kinds } from "./query-tables.ts";

/** How much is measured. An interval of 95 % needs six rounds at the least. */
export interface Effort {
	readonly rounds: number;
	readonly operations: number;
	readonly warmUpMillis: number;
	/** Of workloads in which all operations run at once. */
	readonly crowdRounds: number;
	readonly crowdOperations: number;
	readonly allocationRounds: number;
	readonly allocationOperations: number;
	readonly growthRounds: number;
	readonly growthOperations: number;
	readonly growthWarmUpMillis: number;
	/** Of each growth, how many of its sizes, from the smallest. */
	readonly growthSizes: number;
	readonly watchRounds: number;
	/** Of the processor, for what is asked which process this is and for a pool that asks. */
	readonly watchWarmUpMillis: number;
	readonly watchMillis: number;
	/** In one process that has connected before. */
	readonly connectRounds: number;
	/** Each in a fresh process. */
	readonly coldConnectRounds: number;
	/** Of queries, first answers and forks. */
	readonly transports: readonly Transport[];
	readonly queryRounds: number;
	readonly queryConcurrencies: readonly number[];
	readonly queryKinds: readonly Kind[];
	/** Statements of each face, before its first slice. */
	readonly queryWarmUp: number;
	readonly processRounds: number;
	readonly processCounts: readonly number[];
	readonly firstAnswerRounds: number;
	/** So many children at once, and how often. */
	readonly forkRounds: readonly (readonly [children: number, rounds: number])[];
	readonly memoryRounds: number;
}

export const USUAL: Effort = {
	rounds: 9,
	operations: 500_000,
	warmUpMillis: 400,
	crowdRounds: 6,
	crowdOperations: 100_000,
	allocationRounds: 3,
	allocationOperations: 50_000,
	growthRounds: 6,
	growthOperations: 50_000,
	growthWarmUpMillis: 100,
	growthSizes: 6,
	watchRounds: 7,
	watchWarmUpMillis: 400,
	watchMillis: 200,
	connectRounds: 31,
	coldConnectRounds: 7,
	transports: ["unixSocket", "tcp"],
	queryRounds: 12,
	queryConcurrencies: [1, 10, 100],
	queryKinds: kinds,
	queryWarmUp: 10_000,
	processRounds: 12,
	processCounts: [1, 2, 4, 8],
	firstAnswerRounds: 7,
	forkRounds: [
		[1, 31],
		[10, 16],
		[100, 6],
	],
	memoryRounds: 6,
};

export const SHORT: Effort = {
	rounds: 2,
	operations: 50_000,
	warmUpMillis: 50,
	crowdRounds: 1,
	crowdOperations: 20_000,
	allocationRounds: 1,
	allocationOperations: 20_000,
	growthRounds: 1,
	growthOperations: 10_000,
	growthWarmUpMillis: 50,
	growthSizes: 2,
	watchRounds: 1,
	watchWarmUpMillis: 200,
	watchMillis: 100,
	connectRounds: 3,
	coldConnectRounds: 1,
	transports: ["unixSocket"],
	queryRounds: 2,
	queryConcurrencies: [10],
	queryKinds: ["select by primary key"],
	queryWarmUp: 1_000,
	processRounds: 2,
	processCounts: [1, 2],
	firstAnswerRounds: 1,
	forkRounds: [
		[1, 3],
		[10, 1],
	],
	memoryRounds: 1,
};

/** The same, but so many rounds of everything. */
export function withRounds(effort: Effort, rounds: number): Effort {
	return {
		...effort,
		rounds,
		crowdRounds: rounds,
		allocationRounds: Math.min(rounds, effort.allocationRounds),
		growthRounds: rounds,
		watchRounds: rounds,
		connectRounds: rounds,
		coldConnectRounds: rounds,
		queryRounds: rounds,
		processRounds: rounds,
		firstAnswerRounds: rounds,
		forkRounds: effort.forkRounds.map(([children]) => [children, rounds] as const),
		memoryRounds: rounds,
	};
}
