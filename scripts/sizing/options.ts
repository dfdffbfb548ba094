import { parseArgs } from "node:util";
import type { SizingPlan } from "./plan.ts";

/** What the command was asked for. */
export interface SizingOptions {
	readonly plan: SizingPlan;
	readonly json: boolean;
}

/** Every option, in the words of PostgreSQL and PgBouncer where they have some. */
export const USAGE = `forksafe-sizing --processes N --max N --max-connections N [options]

  --processes N           processes of one instance that have pools
  --max N                 connections that one process opens at most, in all its pools
  --max-connections N     PostgreSQL's max_connections
  --instances N           machines, containers or pods (1)
  --rolling               old and new instances run side by side during a release
  --reserve N             connections that are not for pools (3, PostgreSQL's superuser_reserved_connections)
  --pooler-size N         PgBouncer's default_pool_size plus reserve_pool_size; without it there is no pooler
  --poolers N             processes of PgBouncer (1)
  --poolers-lost N        so many of them may be gone (1 of several)
  --pooler-max-clients N  PgBouncer's max_client_conn (100)
  --databases N, --users N  PgBouncer has a pool for each pair (1)
  --per-second N          transactions per second, of all processes
  --held-millis N         so long each has its connection, on average; goes with --per-second
  --json                  figures and warnings as JSON

Exits with 0 when the plan fits, with 1 when it does not, with 2 when an option is wrong. See docs/sizing.md.`;

const NUMBERS = {
	processes: 1,
	max: 1,
	"max-connections": 1,
	instances: 1,
	reserve: 0,
	"pooler-size": 1,
	poolers: 1,
	"poolers-lost": 0,
	"pooler-max-clients": 1,
	databases: 1,
	users: 1,
	"per-second": 1,
	"held-millis": 1,
} as const;
type NumberName = keyof typeof NUMBERS;
const OF_POOLERS = ["poolers", "poolers-lost", "pooler-max-clients", "databases", "users"] as const;

/** @throws Error that names the option, its value and what to do, where one is unknown, missing, no number or impossible */
export function readOptions(args: readonly string[]): SizingOptions {
	const { values } = parse(args);
	const read = (name: NumberName): number | undefined => wholeNumber(name, values[name]);
	const demand = (name: NumberName): number => {
		const value = read(name);
		if (value === undefined) throw new Error(`--${name} is missing: give it a whole number, as in --${name} 10`);
		return value;
	};
	const plan: SizingPlan = {
		processes: demand("processes"),
		max: demand("max"),
		maxConnections: demand("max-connections"),
		instances: read("instances"),
		rolling: values.rolling,
		reserve: read("reserve"),
		pooler: readPooler(read),
		load: readLoad(read),
	};
	const { maxConnections, reserve = 3 } = plan;
	if (reserve >= maxConnections) {
		throw new Error(`--reserve ${reserve} leaves nothing of --max-connections ${maxConnections}: give fewer`);
	}
	return { plan, json: values.json };
}

type Read = (name: NumberName) => number | undefined;

function readPooler(read: Read): SizingPlan["pooler"] {
	const size = read("pooler-size");
	if (size === undefined) {
		const orphan = OF_POOLERS.find((name) => read(name) !== undefined);
		if (orphan === undefined) return undefined;
		throw new Error(`--${orphan} ${read(orphan)} needs --pooler-size: give PgBouncer's default_pool_size, 20 unless you set it`);
	}
	const [poolers = 1, lost] = [read("poolers"), read("poolers-lost")];
	if (lost !== undefined && lost >= poolers) {
		throw new Error(`--poolers-lost ${lost} leaves none of --poolers ${poolers}: give fewer`);
	}
	return { size, poolers, lost, maxClients: read("pooler-max-clients"), databases: read("databases"), users: read("users") };
}

function readLoad(read: Read): SizingPlan["load"] {
	const [transactionsPerSecond, heldMillis] = [read("per-second"), read("held-millis")];
	if (transactionsPerSecond !== undefined && heldMillis !== undefined) return { transactionsPerSecond, heldMillis };
	if (transactionsPerSecond !== undefined) throw new Error(`--per-second ${transactionsPerSecond} needs --held-millis`);
	if (heldMillis !== undefined) throw new Error(`--held-millis ${heldMillis} needs --per-second`);
	return undefined;
}

function wholeNumber(name: NumberName, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	const [value, least] = [Number(text), NUMBERS[name]];
	if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
	throw new Error(`--${name} ${text}: must be a whole number, ${least} or more`);
}

function parse(args: readonly string[]) {
	const option = { type: "string" } as const;
	return parseArgs({
		args: args.filter((arg) => arg !== "--"),
		options: {
			...(Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, option])) as Record<NumberName, typeof option>),
			rolling: { type: "boolean", default: false },
			json: { type: "boolean", default: false },
		},
	});
}
