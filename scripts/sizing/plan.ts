/** Processes, their pools, a pooler perhaps, and the server behind them. All numbers are whole. */
export interface SizingPlan {
	/** Processes of one instance that have pools: workers, and forked children as well as their parent. */
	readonly processes: number;
	/** Connections that one process opens at most: the sum over its pools that lead to this server. */
	readonly max: number;
	/** Machines, containers or pods. @default 1 */
	readonly instances?: number | undefined;
	/** Whether a release has old and new instances run side by side, all of them at worst. @default false */
	readonly rolling?: boolean | undefined;
	/** PostgreSQL's `max_connections`. */
	readonly maxConnections: number;
	/** Those that pools must leave: `superuser_reserved_connections`, `reserved_connections`, migrations, monitoring. @default 3 */
	readonly reserve?: number | undefined;
	readonly pooler?: PoolerPlan | undefined;
	readonly load?: LoadPlan | undefined;
}

/** PgBouncers in transaction mode between pools and server. */
export interface PoolerPlan {
	/** `default_pool_size`, plus `reserve_pool_size` where there is one. */
	readonly size: number;
	/** Processes of PgBouncer: each has pools of its own. @default 1 */
	readonly poolers?: number | undefined;
	/** So many of them may be gone while the others have their clients too. @default 1 where there are several, else 0 */
	readonly lost?: number | undefined;
	/** `max_client_conn`. @default 100, which is PgBouncer's */
	readonly maxClients?: number | undefined;
	/** PgBouncer has a pool for each pair of database and user. @default 1 */
	readonly databases?: number | undefined;
	/** @default 1 */
	readonly users?: number | undefined;
}

/** What all pools together are asked for. */
export interface LoadPlan {
	readonly transactionsPerSecond: number;
	/** So long a transaction has its connection, on average. */
	readonly heldMillis: number;
}

type Filled<Plan> = { readonly [Key in keyof Plan]-?: Exclude<Plan[Key], undefined> };
export type WholePooler = Filled<PoolerPlan>;
/** A plan in which nothing is left out but what is not there. */
export interface WholePlan extends Filled<Omit<SizingPlan, "pooler" | "load">> {
	readonly pooler: WholePooler | undefined;
	readonly load: LoadPlan | undefined;
}

/** Fills in the defaults. */
export function wholePlan({ instances = 1, rolling = false, reserve = 3, pooler, load, ...rest }: SizingPlan): WholePlan {
	return { ...rest, instances, rolling, reserve, load, pooler: pooler && wholePooler(pooler) };
}

function wholePooler({
	size,
	poolers = 1,
	lost = poolers > 1 ? 1 : 0,
	maxClients = 100,
	databases = 1,
	users = 1,
}: PoolerPlan): WholePooler {
	return { size, poolers, lost, maxClients, databases, users };
}
