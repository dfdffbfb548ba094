import { type LoadPlan, type SizingPlan, type WholePlan, type WholePooler, wholePlan } from "./plan.ts";

/** One number of a plan, how it comes about, and what it may be. */
export interface Figure {
	readonly name: string;
	/** `15 processes x max 10` */
	readonly formula: string;
	readonly value: number;
	/** `max_connections 100 - reserve 3` */
	readonly limitFormula: string;
	readonly limit: number;
}

/** Why a plan does not fit, and what would make it fit. */
export interface SizingWarning {
	readonly message: string;
	readonly remedies: readonly string[];
}

/** What becomes of a plan. It fits when there is no warning. */
export interface Sizing {
	readonly figures: readonly Figure[];
	readonly warnings: readonly SizingWarning[];
}

/** A queue with one server takes 1 / (1 - 0.7), more than three times the bare time, when that is busy for 70 % of the time. */
const BUSY_PERCENT = 70;

/** How many connections server and pooler are asked for at most, and whether they accept them. */
export function sizing(plan: SizingPlan): Sizing {
	const whole = wholePlan(plan);
	const { pooler, load } = whole;
	const judged = pooler ? [toPoolers(whole, pooler), fromPoolers(whole, pooler)] : [toServer(whole)];
	if (load) judged.push(underLoad(whole, load));
	return {
		figures: judged.map(({ figure }) => figure),
		warnings: judged.flatMap(({ figure, warn }) => (figure.value > figure.limit ? [warn()] : [])),
	};
}

interface Judged {
	readonly figure: Figure;
	/** Asked only where the value is above the limit. */
	readonly warn: () => SizingWarning;
}

function toServer(plan: WholePlan): Judged {
	const opened = openedByPools(plan);
	const accepted = acceptedByServer(plan);
	const figure = { name: "connections to PostgreSQL", ...opened, ...accepted };
	return {
		figure,
		warn: () => ({
			message: refused("PostgreSQL", figure, "53300: too many clients already"),
			remedies: [
				largestMax(plan, accepted.limit),
				`or a pooler between them: --pooler-size ${accepted.limit} at most, --pooler-max-clients ${opened.value} at least`,
				higherMaxConnections(plan, opened.value),
			],
		}),
	};
}

function toPoolers(plan: WholePlan, { poolers, lost, maxClients }: WholePooler): Judged {
	const left = poolers - lost;
	const opened = openedByPools(plan);
	const figure = {
		name: "connections to PgBouncer",
		...opened,
		limitFormula: product(`${left} of ${counted(poolers, "pooler")}`, `max_client_conn ${maxClients}`),
		limit: left * maxClients,
	};
	return {
		figure,
		warn: () => ({
			message: refused("PgBouncer", figure, "08P01: no more connections allowed"),
			remedies: [
				`set max_client_conn to ${Math.ceil(opened.value / left)} or more, and the limit of open files above that`,
				`or ${largestMax(plan, figure.limit)}`,
			],
		}),
	};
}

function fromPoolers(plan: WholePlan, { size, poolers, databases, users }: WholePooler): Judged {
	const pools = poolers * databases * users;
	const accepted = acceptedByServer(plan);
	const figure = {
		name: "connections to PostgreSQL",
		formula: product(
			counted(poolers, "pooler"),
			databases > 1 && `${databases} databases`,
			users > 1 && `${users} users`,
			`pool size ${size}`,
		),
		value: pools * size,
		...accepted,
	};
	const largest = Math.floor(accepted.limit / pools);
	const perDatabase = Math.floor(accepted.limit / (poolers * databases));
	return {
		figure,
		warn: () => ({
			message: refused("PostgreSQL", figure, "53300: too many clients already"),
			remedies: [
				largest > 0
					? `set default_pool_size, with reserve_pool_size, to ${largest} or less`
					: `have fewer poolers, databases or users: ${pools} pools of one connection each are more than ${accepted.limit}`,
				...(users > 1 && perDatabase > 0 ? [`or set max_db_connections to ${perDatabase} or less`] : []),
				higherMaxConnections(plan, figure.value),
			],
		}),
	};
}

/** Little's law: on average as many are busy as come in while one is served. */
function underLoad(plan: WholePlan, { transactionsPerSecond, heldMillis }: LoadPlan): Judged {
	const { instances, processes, max, pooler } = plan;
	const value = Math.ceil((transactionsPerSecond * heldMillis) / (10 * BUSY_PERCENT));
	const pools = instances * processes;
	// Neither the new instances of a release nor a pooler that may be gone are counted on.
	const poolerPools = pooler && (pooler.poolers - pooler.lost) * pooler.databases * pooler.users;
	const poolerLimit = pooler && poolerPools ? poolerPools * pooler.size : Number.POSITIVE_INFINITY;
	const limit = Math.min(pools * max, poolerLimit);
	const accepted = acceptedByServer(plan).limit;
	return {
		figure: {
			name: "connections that the load needs",
			formula: `${transactionsPerSecond} per second x ${heldMillis} ms / ${BUSY_PERCENT} %`,
			value,
			limitFormula: limit < pools * max ? "those of the poolers that are left" : "those of all pools",
			limit,
		},
		warn: () => ({
			message: `transactions wait for connections: with ${value} each would be busy for ${BUSY_PERCENT} % of the time, and there are ${limit}`,
			remedies:
				value > accepted
					? [`make transactions shorter, or spread them over more servers: PostgreSQL accepts ${accepted} connections`]
					: [
							...(pools * max < value ? [`set max to ${Math.ceil(value / pools)} or more`] : []),
							...(poolerPools && poolerLimit < value
								? [`set default_pool_size to ${Math.ceil(value / poolerPools)} or more`]
								: []),
						],
		}),
	};
}

function openedByPools({ instances, rolling, processes, max }: WholePlan): { formula: string; value: number } {
	const formula = product(
		instances > 1 && `${instances} instances`,
		rolling && "2 (old and new)",
		counted(processes, "process", "processes"),
		`max ${max}`,
	);
	return { formula, value: instances * (rolling ? 2 : 1) * processes * max };
}

function acceptedByServer({ maxConnections, reserve }: WholePlan): { limitFormula: string; limit: number } {
	return { limitFormula: `max_connections ${maxConnections} - reserve ${reserve}`, limit: maxConnections - reserve };
}

function largestMax(plan: WholePlan, limit: number): string {
	const { value: processes } = openedByPools({ ...plan, max: 1 });
	const largest = Math.floor(limit / processes);
	return largest > 0
		? `set max to ${largest} or less: ${openedByPools({ ...plan, max: largest }).formula} = ${largest * processes}`
		: `have ${limit} processes or fewer: ${processes} with a max of 1 are too many`;
}

function higherMaxConnections({ reserve }: WholePlan, value: number): string {
	return `or set max_connections to ${value + reserve} or more, where the server has memory and cores for that`;
}

function refused(by: string, { value, limit }: Figure, error: string): string {
	return `${by} refuses ${value - limit} of ${value} connections (${error})`;
}

function product(...factors: (string | false)[]): string {
	return factors.filter((factor) => factor !== false).join(" x ");
}

function counted(count: number, one: string, several = `${one}s`): string {
	return `${count} ${count === 1 ? one : several}`;
}
