/** How much is measured. */
export interface Effort {
	readonly rounds: number;
	readonly operations: number;
	readonly warmUpMillis: number;
	/** Of the processor, for what is asked which process this is and for a pool that asks. */
	readonly watchWarmUpMillis: number;
	readonly watchMillis: number;
	/** Of workloads in which all operations run at once. */
	readonly crowdRounds: number;
	readonly crowdOperations: number;
	readonly allocationRounds: number;
	readonly allocationOperations: number;
	/** In one process that has connected before. */
	readonly connectRounds: number;
	/** Each in a fresh process. */
	readonly coldConnectRounds: number;
	/** So many slices of each library over either pool, for each kind of query. */
	readonly queryPairs: number;
	readonly queryConcurrencies: readonly number[];
}

export const USUAL: Effort = {
	rounds: 9,
	operations: 500_000,
	warmUpMillis: 400,
	watchWarmUpMillis: 400,
	watchMillis: 200,
	crowdRounds: 5,
	crowdOperations: 100_000,
	allocationRounds: 3,
	allocationOperations: 50_000,
	connectRounds: 31,
	coldConnectRounds: 11,
	queryPairs: 16,
	queryConcurrencies: [1, 10, 100],
};

export const SHORT: Effort = {
	rounds: 3,
	operations: 50_000,
	warmUpMillis: 50,
	watchWarmUpMillis: 250,
	watchMillis: 100,
	crowdRounds: 1,
	crowdOperations: 20_000,
	allocationRounds: 1,
	allocationOperations: 20_000,
	connectRounds: 5,
	coldConnectRounds: 1,
	queryPairs: 2,
	queryConcurrencies: [10],
};
