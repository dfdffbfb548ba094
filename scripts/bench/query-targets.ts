import { type Library, libraries, nameOf, type PoolKind, type Style } from "./faces.ts";
import type { Slice } from "./queries-worker.ts";
import type { Kind } from "./query-tables.ts";
import { median, ratios } from "./statistics.ts";
import type { Target } from "./target.ts";

export interface QueryResult {
	readonly transport: string;
	readonly kind: Kind;
	/** At a time. */
	readonly users: number;
	/** By the face's name. */
	readonly slices: Readonly<Record<string, readonly Slice[]>>;
}

/** Of CPU, beside the library over its own pool. */
const CPU_LIMIT: Record<"Knex" | "Kysely", Record<Style, number>> = {
	Knex: { raw: 0.9, builder: 0.95 },
	Kysely: { raw: 0.95, builder: 0.95 },
};
const LEAST_THROUGHPUT = 0.98;
/** Beside the library over its own pool, where one query after another is of the same text. */
const WITH_PREPARE = { Knex: 1.2, Kysely: 1.3 } as const;
const builders = libraries.filter((library) => library !== "pg");

/** Those of which something was measured. */
export function queryTargets(results: readonly QueryResult[]): Target[] {
	const targets = [
		...builders.flatMap((library) => [...cpuTargets(results, library), throughputTarget(results, library)]),
		...builders.map((library) => prepareTarget(results, library)),
		postgresJsTarget(results),
	];
	return targets.filter(({ values }) => values.length > 0);
}

export function throughputOf(slices: readonly Slice[] = []): number[] {
	return slices.map(({ throughput }) => throughput);
}

export function cpuOf(slices: readonly Slice[] = []): number[] {
	return slices.map(({ cpu }) => cpu);
}

/** The values are the medians of kinds of queries, over each transport and at each concurrency. */
function cpuTargets(results: readonly QueryResult[], library: "Knex" | "Kysely"): Target[] {
	return (["raw", "builder"] as const).map((style) => {
		const values = results.map((result) => median(besideOwn(result, cpuOf, library, style, "forksafe")));
		const limit = CPU_LIMIT[library][style];
		return { title: `${library} ${style}: CPU beside plain ${library}`, is: "at most", limit, unit: "x", values: known(values) };
	});
}

function throughputTarget(results: readonly QueryResult[], library: Library): Target {
	const values = known(
		results.flatMap((result) =>
			(["raw", "builder"] as const).map((style) => median(besideOwn(result, throughputOf, library, style, "forksafe"))),
		),
	);
	return {
		title: `${library}: the least throughput beside plain ${library}`,
		is: "at least",
		limit: LEAST_THROUGHPUT,
		unit: "x",
		values: values.length === 0 ? [] : [Math.min(...values)],
	};
}

function prepareTarget(results: readonly QueryResult[], library: "Knex" | "Kysely"): Target {
	return {
		title: `${library} raw with prepare, ${ASKED}: throughput beside plain ${library}`,
		is: "at least",
		limit: WITH_PREPARE[library],
		unit: "x",
		values: results.filter(isAsked).flatMap((result) => besideOwn(result, throughputOf, library, "raw", "prepare")),
	};
}

function postgresJsTarget(results: readonly QueryResult[]): Target {
	const kysely = nameOf("Kysely", "raw", "prepare");
	return {
		title: `Kysely raw with prepare, ${ASKED}: throughput beside postgres.js`,
		is: "at least",
		limit: 1,
		unit: "x",
		values: results
			.filter(isAsked)
			.flatMap(({ slices }) => ratios(throughputOf(slices[kysely]), throughputOf(slices["postgres.js"]))),
	};
}

const ASKED = "select by primary key, 10 at a time";

function isAsked({ kind, users }: QueryResult): boolean {
	return `${kind}, ${users} at a time` === ASKED;
}

function besideOwn(
	{ slices }: QueryResult,
	of: (slices?: readonly Slice[]) => number[],
	library: Library,
	style: Style,
	pool: PoolKind,
): number[] {
	return ratios(of(slices[nameOf(library, style, pool)]), of(slices[nameOf(library, style, "own")]));
}

function known(values: readonly number[]): number[] {
	return values.filter((value) => !Number.isNaN(value));
}
